"""What people do with rubrics: see which grades what, read the prompt, check, compare, begin."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path

from ragwheel.grading.asking.prompt import system_text
from ragwheel.grading.asking.rubric import GRADES, Rubric
from ragwheel.grading.asking.rubric_file import parse, read_rubric
from ragwheel.grading.asking.rubric_folder import (
    ASSIGNMENTS,
    known_rubrics,
    load,
    own_files,
    read_text,
    shipped_texts,
)
from ragwheel.schemas.errors import ConfigError

_NAME_LINE = re.compile(r"^name = .*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class RubricLine:
    """A rubric in the list.

    Attributes:
        segment: that it grades; empty: none yet.
        source: `shipped`, or the file.
    """

    segment: str
    name: str
    version: str
    source: str


@dataclass(frozen=True, slots=True)
class RubricList:
    """Every segment with its rubric; then the rubrics that grade none."""

    lines: tuple[RubricLine, ...]


@dataclass(frozen=True, slots=True)
class RubricPrompt:
    """What the grader reads of a rubric, before query and passages."""

    name: str
    version: str
    shows: tuple[str, ...]
    prompt: str


@dataclass(frozen=True, slots=True)
class RubricFinding:
    """A checked file: its version, or all its mistakes."""

    file: str
    version: str
    mistakes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RubricCheck:
    """Files that were checked, and what is wrong between them.

    Attributes:
        together: why the folder as a whole cannot be used; empty where it can.
    """

    files: tuple[RubricFinding, ...]
    together: str = ""

    def is_good(self) -> bool:
        """Whether a grader would take all of it."""
        return not self.together and not any(each.mistakes for each in self.files)


@dataclass(frozen=True, slots=True)
class RubricChange:
    """Words of one part that differ."""

    part: str
    removed: str
    added: str


@dataclass(frozen=True, slots=True)
class RubricDiff:
    """Two rubrics compared.

    Attributes:
        new_epoch: their versions differ, so grades of the two are never mixed.
    """

    one: str
    other: str
    new_epoch: bool
    changes: tuple[RubricChange, ...]


@dataclass(frozen=True, slots=True)
class RubricBegun:
    """A file that was written for editing."""

    file: str
    copied_from: str


def list_rubrics(folder: Path | None) -> RubricList:
    """Which rubric grades which segment."""
    pairs = load(folder).items()
    used = {rubric.version for _, rubric in pairs}
    rest = [("", each) for each in known_rubrics(folder).values() if each.version not in used]
    return RubricList(
        tuple(
            RubricLine(segment, rubric.name, rubric.version, rubric.source)
            for segment, rubric in (*pairs, *rest)
        )
    )


def find_rubric(which: str, folder: Path | None) -> Rubric:
    """The rubric of that name, or of a file.

    Raises:
        ConfigError: there is none.
    """
    if which.endswith(".toml"):
        return parse(read_text(Path(which)), which)
    known = known_rubrics(folder)
    if which not in known:
        raise ConfigError(f"no rubric {which!r}; name a file or one of {', '.join(known)}")
    return known[which]


def show_rubric(which: str, folder: Path | None) -> RubricPrompt:
    """The prompt that a rubric makes."""
    rubric = find_rubric(which, folder)
    return RubricPrompt(rubric.name, rubric.version, rubric.shows, system_text(rubric))


def check_rubrics(file: str | None, folder: Path | None) -> RubricCheck:
    """All mistakes of one file, or of all of the folder and between them.

    Raises:
        ConfigError: there is nothing to check, or it cannot be read.
    """
    files = [Path(file)] if file else own_files(folder)
    if not files and not (folder and (folder / ASSIGNMENTS).exists()):
        raise ConfigError("nothing to check: name a file, or set RAGWHEEL_RUBRIC_DIR to a folder")
    findings = []
    for path in files:
        rubric, mistakes = read_rubric(read_text(path), str(path))
        version = rubric.version if rubric else ""
        findings.append(RubricFinding(str(path), version, tuple(mistakes)))
    checked = RubricCheck(tuple(findings))
    if file or not checked.is_good():
        return checked
    try:
        load(folder)
    except ConfigError as error:
        return RubricCheck(checked.files, str(error))
    return checked


def diff_rubrics(one: str, other: str, folder: Path | None) -> RubricDiff:
    """The words that differ, part by part."""
    first, second = find_rubric(one, folder), find_rubric(other, folder)
    before, after = _parts(first), _parts(second)
    changes = [
        change
        for part in dict.fromkeys([*before, *after])
        for change in _changes(part, before.get(part, ""), after.get(part, ""))
    ]
    new_epoch = first.version != second.version
    return RubricDiff(first.version, second.version, new_epoch, tuple(changes))


def begin_rubric(name: str, shipped: str, folder: Path) -> RubricBegun:
    """Write a copy of a shipped rubric under another name, to be edited.

    Raises:
        ConfigError: the name is none or taken, or no such rubric is shipped.
    """
    texts = shipped_texts()
    if shipped not in texts:
        raise ConfigError(f"no shipped rubric {shipped!r}; there are {', '.join(texts)}")
    if name in texts:
        raise ConfigError(f"{name!r} is shipped; choose another name, so that labels tell them")
    path = folder / f"{name}.toml"
    claims = f'name = "{name}"\nsegments = ["{name}"]  # the segments that it grades'
    text = "\n".join(
        line for line in texts[shipped].splitlines() if not line.startswith(("#", "segments ="))
    )
    text = _NAME_LINE.sub(lambda _: claims, text, count=1).lstrip() + "\n"
    parse(text, str(path))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise ConfigError(f"{path} exists; choose another name or edit it") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from None
    return RubricBegun(str(path), shipped)


def _parts(rubric: Rubric) -> dict[str, str]:
    examples = {
        f"example {number}": f"{each.query} | {each.passage} | grade {each.grade}"
        for number, each in enumerate(rubric.examples, start=1)
    }
    grades = {f"grade {grade}": rubric.grades[grade] for grade in reversed(GRADES)}
    shows = {"shows": ", ".join(rubric.shows)}
    return {"name": rubric.name, "task": rubric.task, **grades, **examples, **shows}


def _changes(part: str, before: str, after: str) -> list[RubricChange]:
    old, new = before.split(), after.split()
    found = SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    return [
        RubricChange(part, " ".join(old[a:b]), " ".join(new[c:d]))
        for kind, a, b, c, d in found
        if kind != "equal"
    ]
