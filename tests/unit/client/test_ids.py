"""Ids that services make."""

from __future__ import annotations

from uuid import UUID

from ragwheel.client.ids import new_id

EPOCH_2026_NS = 1_780_000_000_123_456_789


def test_an_id_is_a_uuid_of_version_7_that_holds_its_millisecond() -> None:
    made = UUID(new_id(EPOCH_2026_NS))
    assert made.version == 7
    assert made.variant == "specified in RFC 4122"
    assert made.int >> 80 == EPOCH_2026_NS // 1_000_000


def test_ids_sort_by_the_time_they_were_made_to_a_microsecond() -> None:
    ids = [new_id(EPOCH_2026_NS + microseconds * 1_000) for microseconds in range(5_000)]
    assert ids == sorted(ids)


def test_ids_of_one_moment_differ() -> None:
    assert len({new_id(EPOCH_2026_NS) for _ in range(10_000)}) == 10_000


def test_the_last_nanosecond_of_a_millisecond_keeps_the_version() -> None:
    assert UUID(new_id(1_000_000 * 1_780_000_000_123 + 999_999)).version == 7
