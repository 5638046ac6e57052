"""The accounts balance, and a lost message shows."""

from __future__ import annotations

import itertools
import random

import pytest

from ragwheel.accounting.accounts import PartitionFacts, TopicAccount, account, union


def balanced(result: TopicAccount) -> bool:
    parts = result.landed + result.dead_lettered + result.in_flight + result.uncovered
    return result.produced == parts and result.committed + result.in_flight == result.produced


def test_intervals_that_touch_or_overlap_become_one() -> None:
    assert union([(5, 9), (0, 3), (4, 4), (7, 12), (20, 21), (20, 20)]) == [(0, 12), (20, 21)]
    assert union([]) == []


def test_a_union_holds_the_same_offsets_as_its_parts() -> None:
    dice = random.Random(3)
    for _ in range(200):
        parts = [(a, a + dice.randrange(6)) for a in dice.choices(range(40), k=8)]
        offsets = {o for first, last in parts for o in range(first, last + 1)}
        merged = union(parts)
        assert {o for first, last in merged for o in range(first, last + 1)} == offsets
        assert all(b[0] > a[1] + 1 for a, b in itertools.pairwise(merged))


def test_everything_landed_or_dead_lettered_balances() -> None:
    result = account(
        "queries",
        [
            PartitionFacts(0, 100, 100, [(0, 49), (50, 99)], dead_lettered=3),
            PartitionFacts(0, 10, 7, [(0, 6)]),
        ],
    )
    assert result == TopicAccount(
        "queries", produced=110, committed=107, landed=104, dead_lettered=3, in_flight=3
    )
    assert balanced(result)
    assert result.unaccounted == 0


def test_batches_repeated_after_a_crash_count_once() -> None:
    result = account("queries", [PartitionFacts(0, 10, 10, [(0, 5), (0, 3), (2, 9)])])
    assert (result.landed, result.unaccounted) == (10, 0)


@pytest.mark.parametrize(
    ("covered", "lost"),
    [
        ([(0, 3), (6, 9)], 2),  # a gap
        ([(0, 7)], 2),  # the tail
        ([(2, 9)], 2),  # the head
        ([], 10),  # all
    ],
)
def test_committed_offsets_that_no_batch_covers_are_unaccounted(
    covered: list[tuple[int, int]], lost: int
) -> None:
    result = account("queries", [PartitionFacts(0, 10, 10, covered)])
    assert result.unaccounted == lost
    assert balanced(result)


def test_landed_but_uncommitted_work_is_in_flight_not_counted_twice() -> None:
    result = account("queries", [PartitionFacts(0, 10, 4, [(0, 7)], dead_lettered=1)])
    assert (result.landed, result.dead_lettered, result.in_flight) == (3, 1, 6)
    assert balanced(result)


def test_a_group_that_never_committed_has_everything_in_flight() -> None:
    result = account("queries", [PartitionFacts(5, 10, None)])
    assert (result.produced, result.in_flight, result.unaccounted) == (5, 5, 0)
    assert balanced(result)


def test_what_kafkas_retention_deleted_after_it_landed_stays_accounted() -> None:
    result = account("queries", [PartitionFacts(80, 100, 100, [(0, 99)])])
    assert (result.produced, result.landed, result.unaccounted) == (100, 100, 0)


def test_what_retention_deleted_before_it_was_read_is_unaccounted() -> None:
    # The consumer continued at 80 after an outage longer than the retention.
    result = account("queries", [PartitionFacts(80, 100, 100, [(0, 49), (80, 99)])])
    assert result.unaccounted == 30


def test_a_ledger_that_forgot_its_oldest_rows_raises_no_alarm() -> None:
    whole = PartitionFacts(0, 100, 100, [(60, 99)])
    forgetful = PartitionFacts(0, 100, 100, [(60, 99)], ledger_is_whole=False)
    assert account("models", [whole]).unaccounted == 60
    assert account("models", [forgetful]).unaccounted == 0


def test_jobs_acknowledged_without_labels_are_unaccounted() -> None:
    facts = [PartitionFacts(0, 4, 4, [(0, 3)])]
    result = account("grading", facts, pending_jobs=1, ungraded_jobs=2)
    assert (result.unaccounted, result.pending_jobs) == (2, 1)
