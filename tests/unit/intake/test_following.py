"""What a partition is, where it began, and what was lost of it before it was read."""

from __future__ import annotations

import pytest
from tests.unit.intake.fakes import FakeBroker

from ragwheel.intake.following import Following
from ragwheel.intake.offsets import Span
from ragwheel.schemas.errors import UnavailableError
from ragwheel.schemas.topics import Partition, Position

Q0 = Partition("queries", 0)


def at(*offsets: int) -> list[Position]:
    return [Position("queries", 0, offset) for offset in offsets]


def following(broker: FakeBroker, committed: int | None = None) -> Following:
    if committed is not None:
        broker.committed_offsets = {Q0: committed}
    made = Following(broker, "g")
    made.assigned([Q0])
    made.settle()
    return made


def test_a_group_goes_on_where_it_committed_and_a_new_one_begins_with_the_oldest() -> None:
    broker = FakeBroker()
    broker.low = 3
    for committed, begin in ((None, 3), (8, 8)):
        made = following(broker, committed)
        assert made.accept(at(10)) == ["o-1"]
        assert made.spans() == [Span("queries", 0, "o-1", begin, 11, ((begin, 10),))]


def test_markers_of_transactions_are_no_loss() -> None:
    made = following(FakeBroker())
    made.accept(at(0, 1, 3, 4, 6))
    assert made.spans() == [Span("queries", 0, "o-1", 0, 7, ((2, 3), (5, 6)))]


def test_what_expired_before_it_was_read_is_covered_by_nothing() -> None:
    broker = FakeBroker()
    broker.low = 50
    made = following(broker, committed=20)  # while nobody read
    made.accept(at(50, 51))
    broker.low = 90  # and while somebody did
    made.accept(at(90))
    assert made.spans() == [Span("queries", 0, "o-1", 50, 52), Span("queries", 0, "o-1", 90, 91)]


def test_a_message_from_before_the_answer_is_read_again() -> None:
    made = Following(FakeBroker(), "g")
    made.assigned([Q0])
    assert made.accept(at(0, 1)) == [None, None]
    assert made.settle() == {Q0: 0}
    assert made.accept(at(0, 1)) == ["o-1", "o-1"]


def test_while_the_broker_is_away_nothing_is_taken_and_nothing_forgotten() -> None:
    broker = FakeBroker(faults=1)
    made = Following(broker, "g")
    made.assigned([Q0])
    with pytest.raises(UnavailableError):
        made.settle()
    assert made.unsettled_places() == {Q0}
    assert made.settle() == {}
    assert not made.unsettled


def test_offsets_that_start_again_are_another_topic() -> None:
    broker = FakeBroker()
    made = following(broker)
    made.accept(at(0, 1, 2))
    broker.make_again()
    assert made.accept(at(0)) == [None]
    assert made.unsettled_places() == {Q0}
    assert made.spans() == [Span("queries", 0, "o-1", 0, 3)]
    assert made.settle() == {Q0: 0}
    assert made.accept(at(0)) == ["o-2"]
    assert made.spans() == [Span("queries", 0, "o-2", 0, 1)]


def test_a_commit_of_an_incarnation_that_is_gone_counts_for_nothing() -> None:
    made = following(FakeBroker(), committed=5_000_000)
    made.accept(at(0))
    assert made.spans() == [Span("queries", 0, "o-1", 0, 1)]


def test_a_partition_that_was_taken_away_is_no_longer_told_of() -> None:
    made = following(FakeBroker())
    made.accept(at(0, 1))
    made.revoked([Q0])
    assert made.spans() == []
