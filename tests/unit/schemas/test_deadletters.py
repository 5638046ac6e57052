"""Nothing that could not be used may be lost, so dead letters carry the original bytes."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import get_args

import pytest

from ragwheel.schemas import deadletters, identity
from ragwheel.schemas.events import DeadLetter, DeadLetterReason

NOW_MS = 1_790_000_000_123


def letter(**changes: object) -> DeadLetter:
    usual: dict[str, object] = {
        "topic": "queries", "partition": 3, "offset": 41, "key": b"\xff\x00",
        "payload": b"not \xff", "reason": "not_utf8", "detail": "byte 4", "timestamp_ms": NOW_MS,
    }  # fmt: skip
    return deadletters.dead_letter(**(usual | changes))  # type: ignore[arg-type]


def through_kafka(sent: DeadLetter) -> DeadLetter:
    return deadletters.from_message(
        sent.key, sent.payload, deadletters.to_headers(sent), position=(0, 7), timestamp_ms=5
    )


@pytest.mark.parametrize("reason", get_args(DeadLetterReason))
def test_a_dead_letter_survives_the_wire(reason: DeadLetterReason) -> None:
    sent = letter(reason=reason, detail="“quoted” \x00 text: ü")
    assert through_kafka(sent) == sent


@pytest.mark.parametrize(("key", "payload"), [(None, None), (b"", b""), (None, b"x" * 2_000_000)])
def test_missing_and_huge_originals_survive(key: bytes | None, payload: bytes | None) -> None:
    sent = letter(key=key, payload=payload)
    assert through_kafka(sent) == sent


def test_its_identity_is_the_position_of_the_original_and_when_it_was_stored() -> None:
    assert letter().dead_letter_id == identity.dead_letter_id("queries", 3, 41, NOW_MS)
    # The same offset of a topic that was made again is another message.
    assert letter(timestamp_ms=NOW_MS + 1).dead_letter_id != letter().dead_letter_id
    assert letter(reason="oversize").dead_letter_id == letter().dead_letter_id
    assert letter(detail="another", payload=b"").dead_letter_id == letter().dead_letter_id
    assert letter(offset=42).dead_letter_id != letter().dead_letter_id


def test_a_long_detail_is_cut() -> None:
    assert len(letter(detail="x" * 50_000).detail) == 4_000


@pytest.mark.parametrize("timestamp_ms", [-1, 0, 2**62, -(2**62)])
def test_a_time_that_a_producer_made_up_does_not_lose_the_letter(timestamp_ms: int) -> None:
    kept = letter(timestamp_ms=timestamp_ms)
    assert datetime(1970, 1, 1, tzinfo=UTC) <= kept.ts <= datetime(2100, 1, 1, tzinfo=UTC)
    assert through_kafka(kept) == kept


def test_somebody_elses_message_becomes_a_dead_letter_of_the_dead_letter_topic() -> None:
    found = deadletters.from_message(b"k", b"v", [], position=(2, 9), timestamp_ms=NOW_MS)
    assert (found.topic, found.partition, found.offset) == ("deadletters", 2, 9)
    assert (found.key, found.payload, found.reason) == (b"k", b"v", "unknown_event")
    assert "topic" in found.detail or "reason" in found.detail


def test_no_headers_make_reading_raise() -> None:
    rng = random.Random(17)
    good = dict(deadletters.to_headers(letter()))
    odd: list[bytes | None] = [
        None, b"", b"\xff", b"-1", b"1e9", b"9" * 5_000, b"not_utf8", b"x" * 300,
        b"0001-01-01T00:00:00", b"9999-12-31T23:59:59-12:00",
    ]  # fmt: skip
    kept = 0
    for _ in range(3_000):
        headers: dict[str, bytes | None] = dict(good)
        for name in rng.sample(sorted(headers), k=rng.randint(1, 3)):
            headers[name] = rng.choice(odd)
        found = deadletters.from_message(
            b"k", b"v", list(headers.items()), position=(2, 9), timestamp_ms=NOW_MS
        )
        assert (found.key, found.payload) == (b"k", b"v")
        kept += found.topic == "queries"
    assert 0 < kept < 3_000


def test_a_letter_that_does_not_fit_is_halved_and_says_so() -> None:
    half = deadletters.shortened(letter(payload=b"12345678", detail="why"))
    assert half.payload == b"1234"
    assert half.detail == "payload cut to 4 of 8 bytes to fit; why"
    assert half.dead_letter_id == letter().dead_letter_id
