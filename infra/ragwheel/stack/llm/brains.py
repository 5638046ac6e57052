"""Who decides the grades of the test server: stand-ins for an LLM, never more than that.

`GoldGrader` knows the right answers and errs on purpose, at a known rate; `OverlapGrader` knows
nothing and counts words. Both are deterministic in (model, query, passage).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import orjson

from ragwheel.grading.asking.prompt import PackLimits, Passage, shown_text
from ragwheel.schemas import identity
from ragwheel.schemas.errors import ConfigError

#: Of the errors, the share that lands on a neighbouring grade; the rest on any other grade.
ADJACENT_ERRORS = 0.8
_TOP_GRADE = 3
_WORD = re.compile(r"[^\W_]+")


class Brain(Protocol):
    """Grades a passage for a query, 0-3."""

    def grade(self, model: str, query: str, passage: str) -> int:
        """The grade that `model` gives."""


def passage_key(text: str) -> str:
    """How a gold file names a passage: the hash of what the grader is shown of it."""
    return identity.content_hash(shown_text(Passage("", text), PackLimits()))


@dataclass(frozen=True, slots=True)
class Gold:
    """The right answers.

    Attributes:
        relevant: canonical query → keys of passages that answer it (grade 3).
        group: passage key → its group (class, module …). A passage that shares a group with a
            relevant one gets grade 1; the others 0.
    """

    relevant: Mapping[str, frozenset[str]]
    group: Mapping[str, str]

    def grade(self, query: str, key: str) -> int:
        """The true grade of a pair."""
        answers = self.relevant.get(identity.canonical_query(query), frozenset())
        if key in answers:
            return _TOP_GRADE
        group = self.group.get(key)
        return int(group is not None and any(self.group.get(each) == group for each in answers))


def gold_json(relevant: Mapping[str, Iterable[str]], group_of_text: Mapping[str, str]) -> bytes:
    """A gold file from query → texts that answer it, and text → group."""
    answers: dict[str, list[str]] = {}
    for query, texts in relevant.items():
        keys = answers.setdefault(identity.canonical_query(query), [])
        keys.extend(passage_key(text) for text in texts)
    groups = {passage_key(text): group for text, group in group_of_text.items()}
    return orjson.dumps({"relevant": answers, "group": groups})


def load_gold(path: Path) -> Gold:
    """Read a gold file.

    Raises:
        ConfigError: it cannot be read or has another form.
    """
    try:
        raw = orjson.loads(path.read_bytes())
        relevant = {
            identity.canonical_query(query): frozenset(keys)
            for query, keys in raw["relevant"].items()
        }
        return Gold(relevant, dict(raw.get("group", {})))
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"gold file {path}: {error!r}; expected "
            '{"relevant": {"query": ["hash", …]}, "group": {"hash": "name"}}'
        ) from None


class GoldGrader:
    """Tells the true grade, except with probability `error_rate`.

    Whether and how it errs is a hash of (model, query, passage): the same pair gets the same answer
    for ever, and two model names err independently of each other.
    """

    def __init__(self, gold: Gold, error_rate: float) -> None:
        """`error_rate` in [0, 1]."""
        if not 0 <= error_rate <= 1:
            raise ConfigError(f"--error-rate {error_rate} must be between 0 and 1")
        self._gold = gold
        self._error_rate = error_rate

    def grade(self, model: str, query: str, passage: str) -> int:
        """The true grade, or the error that this model makes on this pair."""
        key = identity.content_hash(passage)
        truth = self._gold.grade(query, key)
        if self._error_rate == 0:
            return truth
        seed = identity.digest("demo-error", model, identity.canonical_query(query), key)
        errs, adjacent, choice = (int(seed[at : at + 8], 16) / 2**32 for at in (0, 8, 16))
        if errs >= self._error_rate:
            return truth
        others = [grade for grade in range(_TOP_GRADE + 1) if grade != truth]
        if adjacent < ADJACENT_ERRORS:
            others = [grade for grade in others if abs(grade - truth) == 1]
        return others[int(choice * len(others))]


class OverlapGrader:
    """Grades by the share of the query's words that the passage has. Knows no meaning."""

    def grade(self, model: str, query: str, passage: str) -> int:
        """0 below 25 %, 1 below 50 %, 2 below 75 %, else 3."""
        wanted = _words(query)
        if not wanted:
            return 0
        return min(_TOP_GRADE, int(4 * len(wanted & _words(passage)) / len(wanted)))


@lru_cache(maxsize=50_000)
def _words(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(text.casefold()))
