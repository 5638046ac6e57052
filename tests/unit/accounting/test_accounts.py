"""The accounts balance, a lost message shows, and nothing else does."""

from __future__ import annotations

import itertools
import random

import pytest

from ragwheel.accounting.accounts import (
    Entry,
    Gap,
    PartitionAccount,
    Stretch,
    TopicAccount,
    account,
    union,
    without,
)


def kept(base: int, *entries: Entry | Stretch) -> PartitionAccount:
    made = PartitionAccount(base=base)
    for entry in entries:
        made.add(entry if isinstance(entry, Entry) else Entry(*entry))
    return made


def balanced(result: TopicAccount) -> bool:
    parts = (
        result.landed
        + result.dead_lettered
        + result.written_off
        + result.in_flight
        + result.uncovered
    )
    return result.produced == parts and result.committed + result.in_flight == result.produced


def test_stretches_that_touch_or_overlap_become_one() -> None:
    assert union([(5, 10), (0, 4), (4, 5), (7, 13), (20, 22), (20, 21), (30, 30)]) == [
        (0, 13),
        (20, 22),
    ]
    assert union([]) == []


def test_unions_and_differences_hold_the_offsets_that_they_say() -> None:
    dice = random.Random(3)

    def offsets(stretches: list[Stretch]) -> set[int]:
        return {offset for start, until in stretches for offset in range(start, until)}

    for _ in range(300):
        parts = [(a, a + dice.randrange(6)) for a in dice.choices(range(40), k=8)]
        merged = union(parts)
        assert offsets(merged) == offsets(parts)
        assert all(b[0] > a[1] for a, b in itertools.pairwise(merged))
        whole = (dice.randrange(20), dice.randrange(20, 50))
        assert offsets(without(whole, merged)) == offsets([whole]) - offsets(merged)


def test_everything_landed_or_dead_lettered_balances() -> None:
    first = kept(0, Entry(0, 50, dead_lettered=[3, 9]), Entry(50, 100, dead_lettered=[70]))
    result = account("queries", {0: (first, 100, 100), 1: (kept(0, (0, 7)), 7, 10)})
    assert result == TopicAccount(
        "queries", produced=110, committed=107, landed=104, dead_lettered=3, in_flight=3
    )
    assert balanced(result)
    assert result.unaccounted == 0


def test_batches_repeated_after_a_crash_count_once() -> None:
    # Cut in other places, too: a dead letter is one, whichever batch tells of it.
    known = kept(
        0, Entry(0, 6, [2]), Entry(0, 4, [2]), Entry(2, 10, [2, 8]), Entry(7, 12, [8], [(10, 11)])
    )
    result = account("queries", {0: (known, 12, 12)})
    assert (result.landed, result.dead_lettered, result.unaccounted) == (9, 2, 0)
    assert known.covered == [(0, 12)]
    assert balanced(result)


@pytest.mark.parametrize(
    ("covered", "lost"),
    [
        ([(0, 4), (6, 10)], 2),  # a gap
        ([(0, 8)], 2),  # the tail
        ([(2, 10)], 2),  # the head
        ([], 10),  # all
    ],
)
def test_committed_offsets_that_no_batch_covers_are_unaccounted(
    covered: list[Stretch], lost: int
) -> None:
    result = account("queries", {3: (kept(0, *covered), 10, 10)})
    assert result.unaccounted == lost
    assert sum(gap.until - gap.start for gap in result.gaps) == lost
    assert {gap.partition for gap in result.gaps} == {3}
    assert balanced(result)


def test_a_gap_stays_until_it_is_filled() -> None:
    known = kept(0, (0, 4), (6, 10))
    for committed in (10, 500):
        known.add(Entry(known.reach(), committed))
        assert known.gaps(committed) == [(4, 6)]
    known.add(Entry(3, 6, dead_lettered=[4]))
    assert known.gaps(500) == []
    assert (known.covered, known.dead_lettered) == ([(0, 500)], 1)


def test_offsets_without_messages_are_neither_produced_nor_lost() -> None:
    # Three transactions of two messages: each ends with a marker that nobody can read.
    known = kept(0, Entry(0, 8, absent=[(2, 3), (5, 6)]))
    result = account("queries", {0: (known, 8, 8)})
    assert (result.produced, result.landed, result.unaccounted) == (6, 6, 0)
    assert balanced(result)


def test_what_is_written_off_is_no_longer_unaccounted_and_counts_as_nothing_else() -> None:
    known = kept(0, (0, 10), (15, 20))
    assert account("queries", {0: (known, 20, 20)}).unaccounted == 5
    known.add(Entry(10, 15, written_off=True))
    result = account("queries", {0: (known, 20, 20)})
    assert (result.produced, result.landed, result.written_off) == (20, 15, 5)
    assert result.unaccounted == 0
    assert balanced(result)


def test_of_a_stretch_that_is_written_off_only_what_nobody_read_counts_as_lost() -> None:
    known = kept(0, (0, 12), Entry(10, 15, written_off=True), (15, 20))
    result = account("queries", {0: (known, 20, 20)})
    assert (result.landed, result.written_off, result.unaccounted) == (17, 3, 0)
    assert balanced(result)


def test_landed_but_uncommitted_work_is_in_flight_not_counted_twice() -> None:
    result = account("queries", {0: (kept(0, Entry(0, 8, [1])), 4, 10)})
    assert (result.landed, result.dead_lettered, result.in_flight) == (3, 1, 6)
    assert balanced(result)


def test_a_group_that_never_committed_has_everything_in_flight() -> None:
    result = account("queries", {0: (kept(5), 5, 10)})
    assert (result.produced, result.in_flight, result.unaccounted) == (5, 5, 0)
    assert balanced(result)


def test_what_was_not_known_for_too_long_is_forgiven_and_what_comes_after_counts() -> None:
    known = kept(0, (0, 10))
    known.forgive(90)
    known.add(Entry(95, 99))
    assert known.gaps(100) == [(90, 95), (99, 100)]


def test_an_account_costs_the_same_however_long_it_runs() -> None:
    known = kept(0)
    for start in range(0, 50_000, 5):
        known.add(Entry(start, start + 5))
    assert known.covered == [(0, 50_000)]
    assert len(known.model_dump_json()) < 100


def test_jobs_acknowledged_without_labels_are_unaccounted() -> None:
    known = {0: (kept(0, (0, 4)), 4, 4)}
    result = account("grading", known, pending_jobs=1, ungraded_jobs=[(0, 1), (0, 3)])
    assert (result.unaccounted, result.pending_jobs) == (2, 1)
    assert result.gaps == (Gap(0, 1, 2), Gap(0, 3, 4))
