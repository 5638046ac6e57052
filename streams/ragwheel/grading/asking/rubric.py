"""What "relevant" means, per segment: versioned TOML files.

A rubric's version is its name and a hash of its content. Comments, layout and the list of segments
do not count; any change of wording does, because it is another question to the grader, and grades
of two questions must never be mixed.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import orjson

from ragwheel.schemas import identity
from ragwheel.schemas.errors import ConfigError
from ragwheel.schemas.events import GradeValue

#: The scale: 0 does not help … 3 is what was asked for.
GRADES: tuple[GradeValue, ...] = (0, 1, 2, 3)
#: In `segments`: every segment that no other rubric claims.
ANY_SEGMENT = "*"
_FIELDS = {"name", "segments", "task", "grades", "examples"}


@dataclass(frozen=True, slots=True)
class RubricExample:
    """A graded passage that shows the grader where a boundary lies."""

    query: str
    passage: str
    grade: GradeValue


@dataclass(frozen=True, slots=True)
class Rubric:
    """One definition of relevance.

    Attributes:
        name: readable part of the version; letters, digits and dashes.
        task: what the searcher wants, in words the grader reads.
        grades: meaning of each grade, index = grade.
        examples: worked examples, shown in this order.
        segments: segments it is for, or `ANY_SEGMENT`.
        version: `name@hash`; stored with every label.
    """

    name: str
    task: str
    grades: tuple[str, str, str, str]
    examples: tuple[RubricExample, ...]
    segments: tuple[str, ...]
    version: str


class Rubrics:
    """The rubric of each segment. Immutable after construction."""

    def __init__(self, rubrics: Iterable[Rubric]) -> None:
        """Index `rubrics` by segment.

        Raises:
            ConfigError: two rubrics claim one segment, or none claims `ANY_SEGMENT`.
        """
        self._by_segment: dict[str, Rubric] = {}
        for rubric in rubrics:
            for segment in rubric.segments:
                other = self._by_segment.setdefault(segment, rubric)
                if other is not rubric:
                    raise ConfigError(
                        f"rubrics {other.name!r} and {rubric.name!r} both claim segment "
                        f"{segment!r}; leave it in one of the two files"
                    )
        if ANY_SEGMENT not in self._by_segment:
            raise ConfigError(f'no rubric has segments = ["{ANY_SEGMENT}"] to catch the rest')

    def of(self, segment: str) -> Rubric:
        """The rubric that grades `segment`."""
        return self._by_segment.get(segment) or self._by_segment[ANY_SEGMENT]

    def __iter__(self) -> Iterator[Rubric]:
        return iter(dict.fromkeys(self._by_segment.values()))


def load(folder: Path | None = None) -> Rubrics:
    """The packaged rubric, with the `*.toml` files of `folder` laid over it.

    A file of `folder` that claims `ANY_SEGMENT` replaces the packaged one.

    Raises:
        ConfigError: a file cannot be read or is not a rubric; names file, field and fix.
    """
    packaged = [
        parse(entry.read_text("utf-8"), entry.name)
        for entry in resources.files(__package__).joinpath("rubrics").iterdir()
        if entry.name.endswith(".toml")
    ]
    if folder is None:
        return Rubrics(packaged)
    if not folder.is_dir():
        raise ConfigError(f"RAGWHEEL_RUBRIC_DIR={folder} is not a folder; create it or unset it")
    own = [parse(_read(path), str(path)) for path in sorted(folder.glob("*.toml"))]
    claimed = {segment for rubric in own for segment in rubric.segments}
    kept = [rubric for rubric in packaged if not claimed.intersection(rubric.segments)]
    return Rubrics([*kept, *own])


def parse(text: str, source: str) -> Rubric:
    """One rubric from TOML; `source` names the file in errors.

    Raises:
        ConfigError: names the source, the field and the fix.
    """
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{source} is not TOML: {error}") from None
    unknown = sorted(set(raw) - _FIELDS)
    if unknown:
        raise ConfigError(f"{source}: unknown field {unknown[0]!r}; known: {sorted(_FIELDS)}")
    name = _text(raw, "name", source)
    if not name.replace("-", "").isalnum() or len(name) > 64:
        raise ConfigError(f"{source}: name {name!r} must be letters, digits, dashes; at most 64")
    segments = raw.get("segments", [ANY_SEGMENT])
    if not isinstance(segments, list) or not segments or not all(map(_is_text, segments)):
        raise ConfigError(f'{source}: segments must be a list of names, e.g. ["*"]')
    task = _text(raw, "task", source)
    grades = _grades(raw.get("grades"), source)
    examples = tuple(_example(entry, source) for entry in raw.get("examples", []))
    content = orjson.dumps(
        [name, task, grades, [[each.query, each.passage, each.grade] for each in examples]]
    )
    version = f"{name}@{identity.digest('rubric', content)[:12]}"
    return Rubric(name, task, grades, examples, tuple(segments), version)


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"rubric {path} cannot be read: {error}") from None


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _text(raw: Mapping[str, object], field: str, source: str) -> str:
    value = raw.get(field)
    if not isinstance(value, str) or not value.strip():
        raise ConfigError(f"{source}: {field} must be a text that is not empty")
    return value.strip()


def _grades(raw: object, source: str) -> tuple[str, str, str, str]:
    wanted = {str(grade) for grade in GRADES}
    if not isinstance(raw, dict) or set(raw) != wanted:
        raise ConfigError(f"{source}: [grades] must say what each of 0, 1, 2 and 3 means")
    zero, one, two, three = (_text(raw, str(grade), f"{source} [grades]") for grade in GRADES)
    return zero, one, two, three


def _example(raw: object, source: str) -> RubricExample:
    if not isinstance(raw, dict) or set(raw) != {"query", "passage", "grade"}:
        raise ConfigError(f"{source}: each [[examples]] needs query, passage and grade")
    grade = raw["grade"]
    if type(grade) is not int or grade not in GRADES:
        raise ConfigError(f"{source}: example grade {grade!r} must be 0, 1, 2 or 3")
    return RubricExample(_text(raw, "query", source), _text(raw, "passage", source), grade)
