"""Which grade of a pair counts, whoever graded it, however often, in whatever order of rows."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta

import pytest
from tests.rigs.trainer_world import NOON

from ragwheel.schemas.events import LabelSource
from ragwheel.trainers.data.evidence import Evidence, current_grades, evidence, graders_of
from ragwheel.trainers.data.records import Grade

SEGMENTS = {"q": "left", "q2": "left", "r": "right"}


def grade(
    value: int, query: str = "q", chunk: str = "c", hour: int = 0, grader: str = "g@1",
    rubric: str = "r@1", source: LabelSource = "llm",
) -> Grade:  # fmt: skip
    at = NOON + timedelta(hours=hour)
    return Grade(query, chunk, value, "label", grader, rubric, source, at)


def counted(*grades: Grade) -> tuple[Evidence, ...]:
    """The evidence, which must not depend on the order of the rows."""
    found = {
        evidence(current_grades(random.Random(seed).sample(grades, len(grades)), SEGMENTS)[0])
        for seed in range(6)
    }
    assert len(found) == 1
    return found.pop()


def test_people_stand_above_graders_and_graders_above_questions_that_were_made_up() -> None:
    person, llm = grade(0, source="person", grader="ann"), grade(3, hour=9)
    made_up = grade(3, source="synthetic", grader="maker", rubric="")
    [found] = counted(person, llm, made_up)
    assert (found.grade, found.source, found.looks, found.agreement) == (0, "person", 1, 1.0)
    [found] = counted(grade(1), made_up)
    assert (found.grade, found.source) == (1, "llm")
    [found] = counted(made_up)
    assert (found.grade, found.source) == (3, "synthetic")


def test_only_the_newest_rubric_of_a_segment_counts() -> None:
    # T5: rubric versions were mixed, and the order of rows decided.
    old, new = grade(3, hour=0), grade(0, hour=1, rubric="r@2")
    unasked = grade(3, query="q2", hour=0)
    elsewhere = grade(3, query="r", hour=0)
    found = counted(old, new, unasked, elsewhere)
    assert [(each.query_hash, each.grade, each.epoch) for each in found] == [
        ("q", 0, "r@2"), ("r", 3, "r@1"),
    ]  # fmt: skip
    _, dropped = current_grades([old, new, unasked, elsewhere], SEGMENTS)
    assert dropped == {"grades of an older grader or rubric": 2}


def test_a_new_grader_outdates_the_old_one_and_not_people() -> None:
    person = grade(2, query="q2", source="person", grader="ann")
    found = counted(grade(3), grade(0, hour=1, grader="g@2"), person)
    assert [(each.grade, each.source) for each in found] == [(0, "llm"), (2, "person")]


def test_a_judge_is_never_evidence_and_decoys_are_kept_apart() -> None:
    judge = replace(grade(3, chunk="judged", hour=5, grader="judge@1"), role="judge")
    decoy = replace(grade(3, chunk="decoy"), role="decoy")
    old_decoy = replace(grade(3, chunk="decoy", grader="g@0"), role="decoy")
    rows = [judge, decoy, old_decoy, grade(2)]
    assert [each.chunk_hash for each in counted(*rows)] == ["c"]
    current, dropped = current_grades(rows, SEGMENTS)
    assert [each for each in current if each.role == "decoy"] == [decoy]
    assert dropped["grades by a judge"] == 1
    assert graders_of(current) == ("g@1",)


@pytest.mark.parametrize(
    ("first", "second", "said", "agreement"),
    [(3, 3, 3, 1), (3, 2, 2, 1), (3, 0, 1, 0.5), (0, 3, 1, 0.5), (0, 0, 0, 1), (2, 1, 1, 0.5)],
)
def test_looks_that_disagree_lower_the_agreement_and_no_row_wins(
    first: int, second: int, said: int, agreement: float
) -> None:
    [found] = counted(grade(first), replace(grade(second, hour=1), role="second"))
    assert (found.grade, found.looks, found.agreement) == (said, 2, agreement)


def test_of_several_people_the_median_counts() -> None:
    people = [
        grade(value, source="person", grader=name) for value, name in ((3, "a"), (2, "b"), (0, "c"))
    ]
    [found] = counted(*people)
    assert (found.grade, found.looks) == (2, 3)
    assert found.agreement == pytest.approx(2 / 3)


def test_grades_of_queries_that_nobody_knows_are_counted_and_left_out() -> None:
    current, dropped = current_grades([grade(3, query="gone")], SEGMENTS)
    assert (current, dropped) == ([], {"grades of unknown queries": 1})
