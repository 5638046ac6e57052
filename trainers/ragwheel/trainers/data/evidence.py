"""Which grade of a pair counts: people over LLMs over made-up questions, newest epoch only. Pure.

An *epoch* is what makes grades comparable: the grader (its id covers model, parameters and prompt)
and the version of the rubric. Of each segment only the epoch of its newest grade counts: two
rubrics are two questions, and a mean of answers to two questions is an answer to none. Segments may
have rubrics of their own, hence epochs of their own. People answer to a rubric, not to a prompt, so
their epoch is the rubric alone, and a new grader does not outdate them.

A judge's grades are never evidence, and neither are decoys, which measure the grader.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median

from ragwheel.measuring.rank_metrics import RELEVANT_GRADE
from ragwheel.schemas.events import LabelSource
from ragwheel.trainers.data.records import Grade

#: Whose grade of a pair counts, where several graded it.
_FIRST: Sequence[LabelSource] = ("person", "llm", "synthetic")


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is said of a pair, by the best source that said anything.

    Attributes:
        grade: the median of all looks, between two grades the lower.
        epoch: rubric version of the looks.
        looks: how many grades it is made of: first and second looks, several people.
        agreement: share of the looks that say the same as `grade` about being relevant, 0-1.
    """

    query_hash: str
    chunk_hash: str
    grade: int
    epoch: str
    source: LabelSource
    looks: int
    agreement: float


def current_grades(
    grades: Iterable[Grade], segments: Mapping[str, str]
) -> tuple[list[Grade], Counter[str]]:
    """The grades that may be learnt from, and the decoys of the same graders.

    Args:
        grades: every graded row, in any order.
        segments: query hash → segment.

    Returns:
        The grades of the newest epochs, and why others were left out: reason → how many.
    """
    dropped: Counter[str] = Counter()
    known = []
    for each in grades:
        if each.role == "judge":
            dropped["grades by a judge"] += 1
        elif each.query_hash not in segments:
            dropped["grades of unknown queries"] += 1
        else:
            known.append(each)
    newest: dict[tuple[str, LabelSource], tuple[datetime, str, str]] = {}
    for each in known:
        if each.role == "label":
            of = segments[each.query_hash], each.source
            newest[of] = max(newest.get(of, (each.graded_at, "", "")), _epoch_at(each))
    current = [
        each
        for each in known
        if newest.get((segments[each.query_hash], each.source), ("", "", ""))[1:]
        == _epoch_at(each)[1:]
    ]
    if outdated := len(known) - len(current):
        dropped["grades of an older grader or rubric"] = outdated
    return current, dropped


def evidence(grades: Iterable[Grade]) -> tuple[Evidence, ...]:
    """One per pair, sorted by query and chunk; the order of the rows does not matter.

    Args:
        grades: of `current_grades`.
    """
    looks: dict[tuple[str, str], list[Grade]] = defaultdict(list)
    for each in grades:
        if each.role in ("label", "second"):
            looks[each.query_hash, each.chunk_hash].append(each)
    return tuple(_weighed(looks[pair]) for pair in sorted(looks))


def graders_of(grades: Iterable[Grade]) -> tuple[str, ...]:
    """Who made the labels, sorted."""
    return tuple(sorted({each.grader_id for each in grades if each.role in ("label", "second")}))


def _weighed(looks: Sequence[Grade]) -> Evidence:
    source = min((each.source for each in looks), key=_FIRST.index)
    counted = [each for each in looks if each.source == source]
    grade = int(median(each.grade for each in counted))
    agreeing = [(each.grade >= RELEVANT_GRADE) == (grade >= RELEVANT_GRADE) for each in counted]
    return Evidence(
        counted[0].query_hash, counted[0].chunk_hash, grade, counted[0].rubric_version, source,
        len(counted), sum(agreeing) / len(agreeing),
    )  # fmt: skip


def _epoch_at(grade: Grade) -> tuple[datetime, str, str]:
    """When a grade was made, and its epoch."""
    grader = grade.grader_id if grade.source == "llm" else ""
    rubric = "" if grade.source == "synthetic" else grade.rubric_version
    return grade.graded_at, grader, rubric
