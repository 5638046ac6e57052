"""Runs of offsets, insert tokens, and what is committed."""

from __future__ import annotations

import random

from ragwheel.intake.offsets import Run, next_offsets, runs, token
from ragwheel.schemas.topics import Position


def positions(*offsets: int, partition: int = 0) -> list[Position]:
    return [Position("queries", partition, offset) for offset in offsets]


def test_runs_end_at_gaps_and_at_partitions() -> None:
    mixed = [*positions(3, 4, 5, 9), *positions(6, partition=1)]
    random.Random(1).shuffle(mixed)
    assert list(runs(mixed)) == [
        Run("queries", 0, 3, 5),
        Run("queries", 0, 9, 9),
        Run("queries", 1, 6, 6),
    ]


def test_a_repeated_offset_counts_once() -> None:
    assert list(runs(positions(1, 2, 2, 3))) == [Run("queries", 0, 1, 3)]


def test_no_spots_make_no_runs() -> None:
    assert list(runs([])) == []


def test_the_same_messages_make_the_same_token_in_any_order() -> None:
    assert token("queries", positions(1, 2, 3)) == token("queries", positions(3, 1, 2))
    assert token("queries", positions(1, 2, 3)) == "queries:queries:0:1-3"


def test_another_table_or_one_message_less_makes_another_token() -> None:
    tokens = {
        token("queries", positions(1, 2, 3)),
        token("chunks", positions(1, 2, 3)),
        token("queries", positions(1, 3)),
        token("queries", positions(1, 2)),
        token("queries", positions(1, 2, 3, partition=1)),
    }
    assert len(tokens) == 5


def test_the_offset_after_the_last_message_of_each_partition_is_committed() -> None:
    assert next_offsets([*positions(7, 9, 8), *positions(0, partition=2)]) == {
        ("queries", 0): 10,
        ("queries", 2): 1,
    }
