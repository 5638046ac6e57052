"""Which texts share a batch: one lane, oldest first, about one length, nobody starves."""

from __future__ import annotations

import random

import pytest

from ragwheel.serving.batching import (
    BatchLane,
    Caller,
    WaitingRoom,
    WaitingText,
    chosen,
)

HERE = object()


def lane(kind: str, of: object = HERE) -> BatchLane:
    return BatchLane(of, kind, lambda texts: [0.0] * len(texts), "m")


def texts(*tokens: int, caller: Caller | None = None) -> list[WaitingText]:
    who = caller or Caller()
    return [WaitingText(f"text {n}", size, who, n) for n, size in enumerate(tokens)]


def test_what_waits_is_taken_at_once_and_in_its_order_where_it_fits() -> None:
    room = WaitingRoom(100)
    room.let_in(lane("query"), texts(9, 1, 5))
    batch = room.next_batch()
    assert batch is not None
    assert [each.tokens for each in batch.texts] == [9, 1, 5]
    assert room.next_batch() is None


def test_padding_counts_and_a_request_is_split() -> None:
    room = WaitingRoom(100)
    room.let_in(lane("document"), texts(*[50] * 7))
    sizes = []
    while (batch := room.next_batch()) is not None:
        sizes.append(len(batch.texts))
    assert sizes == [2, 2, 2, 1]


def test_a_text_longer_than_the_budget_is_a_batch_of_its_own() -> None:
    assert [each.tokens for each in chosen(texts(500, 1), 100)] == [500]


def test_texts_of_one_length_meet_where_more_than_one_batch_waits() -> None:
    assert [each.tokens for each in chosen(texts(10, 90, 11, 80, 9, 85), 40)] == [10, 11, 9]


@pytest.mark.parametrize("seed", range(20))
def test_the_oldest_goes_first_whatever_else_waits_and_nothing_is_lost(seed: int) -> None:
    drawn = random.Random(seed)
    room = WaitingRoom(drawn.randint(10, 200))
    waiting = texts(*[drawn.randint(1, 150) for _ in range(300)])
    room.let_in(lane("query"), waiting)
    left = list(waiting)
    while (batch := room.next_batch()) is not None:
        assert left[0] in batch.texts
        longest = max(each.tokens for each in batch.texts)
        assert len(batch.texts) == 1 or longest * len(batch.texts) <= room._budget
        left = [each for each in left if each not in batch.texts]
    assert not left


def test_a_batch_is_of_one_generation_and_one_role() -> None:
    old, new = object(), object()
    room = WaitingRoom(1_000)
    for of, kind in ((old, "query"), (new, "query"), (new, "document"), (old, "query")):
        room.let_in(lane(kind, of), texts(1, 1))
    seen = []
    while (batch := room.next_batch()) is not None:
        seen.append((batch.lane.generation is new, batch.lane.kind, len(batch.texts)))
    assert seen == [(False, "query", 4), (True, "query", 2), (True, "document", 2)]


def test_a_query_waits_for_one_batch_of_documents_and_not_for_all() -> None:
    room = WaitingRoom(10)
    room.let_in(lane("document"), texts(*[10] * 50))
    assert room.next_batch() is not None
    room.let_in(lane("query"), texts(3))
    kinds = [batch.lane.kind for _ in range(2) if (batch := room.next_batch())]
    assert kinds == ["document", "query"]


def test_who_hung_up_costs_nothing_and_is_counted() -> None:
    room = WaitingRoom(1_000)
    gone = Caller(gone=True)
    room.let_in(lane("query"), texts(1, 1, caller=gone))
    room.let_in(lane("query"), texts(5))
    batch = room.next_batch()
    assert batch is not None
    assert ([each.tokens for each in batch.texts], batch.dropped) == ([5], 2)


def test_a_lane_of_nobody_left_is_an_empty_batch_and_not_the_end_of_others() -> None:
    room = WaitingRoom(1_000)
    room.let_in(lane("query"), texts(1, caller=Caller(gone=True)))
    room.let_in(lane("document"), texts(2))
    first, second = room.next_batch(), room.next_batch()
    assert first is not None
    assert second is not None
    assert (first.texts, first.dropped) == ([], 1)
    assert [each.tokens for each in second.texts] == [2]
