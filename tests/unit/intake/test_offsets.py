"""What a batch covered of each partition, and what is committed."""

from __future__ import annotations

from ragwheel.intake.offsets import Coverage, Span, next_offsets
from ragwheel.schemas.topics import Partition, Position

Q0, Q1 = Partition("queries", 0), Partition("queries", 1)


def reading(*begins: tuple[Partition, int]) -> Coverage:
    made = Coverage()
    for place, offset in begins:
        made.begin(place, offset)
    return made


def take(coverage: Coverage, place: Partition, *offsets: int) -> None:
    for offset in offsets:
        coverage.take(place, offset, "o")


def test_a_span_begins_where_the_one_before_ended() -> None:
    coverage = reading((Q0, 3), (Q1, 0))
    take(coverage, Q0, 3, 4)
    take(coverage, Q1, 0)
    assert coverage.finish() == [Span("queries", 0, "o", 3, 5), Span("queries", 1, "o", 0, 1)]
    take(coverage, Q0, 7)
    assert coverage.finish() == [Span("queries", 0, "o", 5, 8, ((5, 7),))]
    assert coverage.finish() == []


def test_holes_between_messages_belong_to_the_span() -> None:
    coverage = reading((Q0, 0))
    take(coverage, Q0, 0, 3, 4, 9)
    assert coverage.finish() == [Span("queries", 0, "o", 0, 10, ((1, 3), (5, 9)))]


def test_what_is_lost_belongs_to_no_span() -> None:
    coverage = reading((Q0, 0))
    take(coverage, Q0, 0, 1)
    coverage.lost(Q0, 8)
    take(coverage, Q0, 9)
    assert coverage.finish() == [
        Span("queries", 0, "o", 0, 2),
        Span("queries", 0, "o", 8, 10, ((8, 9),)),
    ]


def test_what_is_read_again_or_by_another_member_is_not_told() -> None:
    coverage = reading((Q0, 0), (Q1, 0))
    take(coverage, Q0, 0, 1)
    coverage.lost(Q0, 5)
    take(coverage, Q1, 0)
    coverage.begin(Q0, 0)
    coverage.forget(Q1)
    assert coverage.finish() == []
    assert (coverage.expects(Q0), coverage.expects(Q1)) == (0, None)


def test_the_offset_after_the_last_message_of_each_partition_is_committed() -> None:
    at = [Position("queries", 0, offset) for offset in (7, 9, 8)]
    assert next_offsets([*at, Position("queries", 2, 0)]) == {("queries", 0): 10, ("queries", 2): 1}
