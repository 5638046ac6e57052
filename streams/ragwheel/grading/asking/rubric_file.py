"""One rubric file: what it says, or everything that is wrong with it. Pure.

All mistakes are found at once, each with the value and what to write instead, because a rubric is
written by people who correct it by hand.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from difflib import get_close_matches

import orjson

from ragwheel.grading.asking.rubric import GRADES, SHOWN_FIELDS, Rubric, RubricExample
from ragwheel.schemas import identity
from ragwheel.schemas.errors import ConfigError

_FIELDS = ("name", "segments", "shows", "task", "grades", "examples")
_EXAMPLE_FIELDS = ("query", "passage", "grade")
_NAME = re.compile(r"[A-Za-z0-9]+(-[A-Za-z0-9]+)*")
_MOST_NAME_CHARS = 64


def parse(text: str, source: str) -> Rubric:
    """One rubric from TOML; `source` names the file in errors.

    Raises:
        ConfigError: names the source and each mistake with its fix.
    """
    rubric, mistakes = read_rubric(text, source)
    if rubric is None:
        raise ConfigError(f"{source}: {'; '.join(mistakes)}")
    return rubric


def read_rubric(text: str, source: str) -> tuple[Rubric | None, list[str]]:
    """The rubric, or None and all mistakes of the file."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return None, [f"it is not TOML: {error}"]
    mistakes = [_unknown(field) for field in raw if field not in _FIELDS]
    name = _name(raw, mistakes)
    segments = _names(raw, "segments", '["tools"], or ["*"] for all that no other claims', mistakes)
    shows = _names(raw, "shows", '["segment"], or leave it out to show the query alone', mistakes)
    for each in shows:
        if each not in SHOWN_FIELDS:
            known = ", ".join(SHOWN_FIELDS)
            mistakes.append(f"shows {each!r}, which jobs do not carry; they carry {known}")
    task = _text(raw, "task", "", mistakes)
    grades = _grades(raw.get("grades"), mistakes)
    examples = _examples(raw.get("examples", []), mistakes)
    if mistakes:
        return None, mistakes
    content = [name, task, grades, [[each.query, each.passage, each.grade] for each in examples]]
    version = f"{name}@{identity.digest('rubric', orjson.dumps([*content, shows]))[:12]}"
    one, two, three, four = grades
    return Rubric(
        name, task, (one, two, three, four), examples, segments, version, shows, source
    ), []


def _unknown(field: str) -> str:
    near = get_close_matches(field, _FIELDS, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(_FIELDS)}"
    return f"unknown field {field!r}; {hint}"


def _name(raw: Mapping[str, object], mistakes: list[str]) -> str:
    name = _text(raw, "name", "", mistakes)
    if name and (not _NAME.fullmatch(name) or len(name) > _MOST_NAME_CHARS):
        mistakes.append(
            f"name {name!r} must be letters, digits, dashes; at most {_MOST_NAME_CHARS}"
        )
    return name


def _names(
    raw: Mapping[str, object], field: str, example: str, mistakes: list[str]
) -> tuple[str, ...]:
    if field not in raw:
        return ()
    value = raw[field]
    if isinstance(value, list) and value and all(isinstance(e, str) and e.strip() for e in value):
        return tuple(dict.fromkeys(value))
    mistakes.append(f"{field} must be a list of names, e.g. {example}")
    return ()


def _text(raw: Mapping[str, object], field: str, where: str, mistakes: list[str]) -> str:
    value = raw.get(field)
    if isinstance(value, str) and value.strip():
        return value.strip()
    mistakes.append(f'{where}{field} must be a text that is not empty: {field} = "…"')
    return ""


def _grades(raw: object, mistakes: list[str]) -> list[str]:
    wanted = [str(grade) for grade in GRADES]
    if not isinstance(raw, dict) or set(raw) != set(wanted):
        found = ", ".join(sorted(map(str, raw))) if isinstance(raw, dict) else "no table"
        mistakes.append(
            f"[grades] must say what each of 0, 1, 2 and 3 means, and no more; it has {found}"
        )
        return [""] * len(GRADES)
    return [_text(raw, grade, "[grades] ", mistakes) for grade in wanted]


def _examples(raw: object, mistakes: list[str]) -> tuple[RubricExample, ...]:
    if not isinstance(raw, list):
        mistakes.append("examples must be tables: write [[examples]] above each")
        return ()
    found = []
    for number, entry in enumerate(raw, start=1):
        where = f"example {number}: "
        if not isinstance(entry, dict) or set(entry) != set(_EXAMPLE_FIELDS):
            mistakes.append(f"{where}each [[examples]] needs query, passage and grade, and no more")
            continue
        grade = entry["grade"]
        if type(grade) is not int or grade not in GRADES:
            mistakes.append(f"{where}grade {grade!r} must be 0, 1, 2 or 3")
            continue
        query, passage = (_text(entry, each, where, mistakes) for each in ("query", "passage"))
        found.append(RubricExample(query, passage, grade))
    return tuple(found)
