"""The strict reading of a grader's answer.

A grade is accepted only where the answer says it in the agreed form: one JSON object, `grades` a
list of objects, a known id exactly once, an integer 0-3. Everything else is "no grade for this id"
and is asked again. No digit is ever looked for in prose: parsers that do so turn "speaks to 3 of
the aspects" into a top grade.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from ragwheel.grading.asking.rubric import GRADES
from ragwheel.schemas.events import GradeValue

#: Longer answers are runaway output, characters. 200 ids need about 8,000.
MAX_ANSWER_CHARS = 65_536
#: Some local models wrap JSON into one code fence whatever they are told; nothing else around it
#: is tolerated.
_FENCED = re.compile(r"\A```(?:json)?[ \t]*\n(?P<body>.*)\n```\Z", re.DOTALL)

#: For `response_format`. One schema for every call: ids are strings here and checked by us, because
#: a schema that names the ids would be new for each call, and servers compile and cache schemas.
ANSWER_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "grades": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "id": {"type": "string"},
                    "grade": {"type": "integer", "enum": list(GRADES)},
                },
                "required": ["id", "grade"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["grades"],
    "additionalProperties": False,
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What an answer says.

    Attributes:
        grades: id → grade, for the ids that were answered properly.
        rejected: id → why there is no grade; `grades` and `rejected` share the asked ids.
        invented: entries that name no asked id.
    """

    grades: dict[str, GradeValue] = field(default_factory=dict)
    rejected: dict[str, str] = field(default_factory=dict)
    invented: int = 0


class _RepeatedKey(ValueError):
    """JSON lets an object say a key twice; then it says nothing."""


def parse(text: str | None, asked: Collection[str]) -> Answer:
    """Read `text`, the answer to a prompt that showed the ids `asked`. Total: never raises."""
    if not text or not text.strip():
        return _reject_all(asked, "the answer is empty")
    if len(text) > MAX_ANSWER_CHARS:
        return _reject_all(asked, f"the answer has {len(text)} characters")
    body = text.strip()
    fenced = _FENCED.match(body)
    try:
        raw = json.loads(fenced["body"] if fenced else body, object_pairs_hook=_object)
    except _RepeatedKey as error:
        return _reject_all(asked, f"the answer repeats the key {str(error)[:40]!r}")
    except (ValueError, RecursionError):
        return _reject_all(asked, "the answer is not JSON")
    if not isinstance(raw, dict) or not isinstance(raw.get("grades"), list):
        return _reject_all(asked, "the answer has no list `grades`")
    return _read(raw["grades"], asked)


def _read(entries: list[Any], asked: Collection[str]) -> Answer:
    named = Counter(
        entry["id"]
        for entry in entries
        if isinstance(entry, dict) and isinstance(entry.get("id"), str)
    )
    grades: dict[str, GradeValue] = {}
    rejected: dict[str, str] = {}
    for entry in entries:
        opaque = entry.get("id") if isinstance(entry, dict) else None
        if not isinstance(opaque, str) or opaque not in asked:
            continue
        given = entry.get("grade")
        if named[opaque] > 1:
            rejected[opaque] = "the answer names it more than once"
        elif type(given) is int and given in GRADES:  # `type`, because True is an int too
            grades[opaque] = given
        else:
            rejected[opaque] = f"grade {_shown(given)} is not 0, 1, 2 or 3"
    for opaque in asked:
        if opaque not in grades and opaque not in rejected:
            rejected[opaque] = "the answer leaves it out"
    answered = sum(named[opaque] for opaque in asked)
    return Answer(grades, rejected, invented=len(entries) - answered)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise _RepeatedKey(key)
        found[key] = value
    return found


def _shown(value: Any) -> str:
    """A scalar in at most 40 ASCII characters; containers, which may be deep, only by type."""
    if isinstance(value, (dict, list)):
        return f"of type {type(value).__name__}"
    return ascii(value)[:40]


def _reject_all(asked: Collection[str], why: str) -> Answer:
    return Answer(rejected=dict.fromkeys(asked, why))
