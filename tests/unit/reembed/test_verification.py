"""What stands against a new build, each said with its numbers."""

from __future__ import annotations

import pytest

from ragwheel.measuring.intervals import Interval
from ragwheel.models.canaries import TEXTS
from ragwheel.reembed.shards import Totals
from ragwheel.reembed.verification import (
    Recall,
    count_problems,
    recall_problems,
    search_problems,
)

GOOD = Totals(10, 10, shards=1, shards_done=1)


def test_equal_counts_and_full_answers_leave_nothing_to_say() -> None:
    assert count_problems(GOOD, 10, 10) == []
    assert count_problems(GOOD, 10, None) == []
    assert search_problems(len(TEXTS), 64, 64) == []


@pytest.mark.parametrize(
    ("totals", "stored", "old", "said"),
    [
        (Totals(12, 10), 10, 10, "of 12 chunks 2 are not accounted for"),
        (Totals(12, 10, waiting=2), 10, 10, "of 12 chunks 2 are not accounted for"),
        (GOOD, 9, 10, "the new build holds 9 chunks, and 10 were embedded"),
        (Totals(12, 10, {"a": 1, "b": 1}), 10, 10, "2 chunks failed (b)"),
        (Totals(11, 10, {}, {"no text": 1}), 10, 10, "1 chunks were skipped (no text)"),
        (GOOD, 10, 15, "holds 15 chunks, and ragwheel knows 10"),
    ],
)
def test_a_count_that_is_off_is_named(totals: Totals, stored: int, old: int, said: str) -> None:
    (problem,) = count_problems(totals, stored, old)
    assert said in problem


def test_short_answers_and_chunks_that_do_not_find_themselves_are_named() -> None:
    short, lost = search_problems(len(TEXTS) - 2, 64, 60)
    assert "2 of 32 canary searches" in short
    assert "only 60 of 64" in lost
    assert search_problems(len(TEXTS), 64, 61) == []
    assert search_problems(len(TEXTS), 0, 0) == []


def recall(difference: float) -> Recall:
    return Recall(
        40, Interval(0.7 + difference, 0.6, 0.8), Interval(0.7, 0.6, 0.8),
        Interval(difference, difference - 0.1, difference + 0.1),
    )  # fmt: skip


def test_recall_may_be_lower_by_the_tolerance_and_no_more() -> None:
    assert recall_problems(recall(-0.01), "", 0.01) == []
    assert recall_problems(recall(0.2), "", 0.0) == []
    (problem,) = recall_problems(recall(-0.02), "", 0.01)
    assert "recall@10 is 0.680 and was 0.700 on 40 judged queries (-0.020" in problem


def test_what_was_not_measured_is_not_good() -> None:
    assert recall_problems(None, "nobody judged", 0.01) == [
        "recall was not measured: nobody judged"
    ]
