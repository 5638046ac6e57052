"""The wire form of a dead letter: original key and value, everything else in headers."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import cast, get_args

from ragwheel.schemas import identity, limits
from ragwheel.schemas.events import DeadLetter, DeadLetterReason

_PREFIX = "ragwheel.deadletter."
_REASONS: frozenset[str] = frozenset(get_args(DeadLetterReason))

_LATEST_MS = int(limits.LATEST.timestamp() * 1000)

Headers = list[tuple[str, bytes]]


def dead_letter(
    *,
    topic: str,
    partition: int,
    offset: int,
    key: bytes | None,
    payload: bytes | None,
    reason: DeadLetterReason,
    detail: str,
    timestamp_ms: int,
) -> DeadLetter:
    """Preserve the message at `topic`/`partition`/`offset`, stored by the broker at `timestamp_ms`.

    These four are its identity; reason and detail are not, so that a message which is refused
    again, for another reason perhaps, stays one letter.
    """
    stored_ms = min(max(timestamp_ms, 0), _LATEST_MS)
    return DeadLetter(
        dead_letter_id=identity.dead_letter_id(topic, partition, offset, stored_ms),
        topic=topic,
        partition=partition,
        offset=offset,
        key=key,
        payload=payload,
        reason=reason,
        detail=detail[: limits.MAX_DETAIL_CHARS],
        ts=datetime.fromtimestamp(stored_ms / 1000, UTC),
    )


def shortened(letter: DeadLetter) -> DeadLetter:
    """Half of a dead letter that the broker finds too large, with a note that it is half."""
    payload = letter.payload or b""
    half = payload[: len(payload) // 2]
    detail = f"payload cut to {len(half)} of {len(payload)} bytes to fit; {letter.detail}"
    return letter.model_copy(update={"payload": half, "detail": detail[: limits.MAX_DETAIL_CHARS]})


def to_headers(letter: DeadLetter) -> Headers:
    """Headers that carry everything but key and value."""
    fields = {
        "topic": letter.topic,
        "partition": str(letter.partition),
        "offset": str(letter.offset),
        "reason": letter.reason,
        "detail": letter.detail,
        "ts": letter.ts.isoformat(),
    }
    return [(_PREFIX + name, value.encode()) for name, value in fields.items()]


def from_message(
    key: bytes | None,
    value: bytes | None,
    headers: Iterable[tuple[str, str | bytes | None]],
    *,
    position: tuple[int, int],
    timestamp_ms: int,
) -> DeadLetter:
    """Read a message of the dead-letter topic. Never raises: nothing may be lost here.

    A message without our headers (somebody else wrote it) becomes a dead letter of the
    dead-letter topic itself, at `position` = (partition, offset).
    """
    found = {
        name.removeprefix(_PREFIX): raw.decode("utf-8", "replace")
        if isinstance(raw, bytes)
        else raw
        for name, raw in headers
        if name.startswith(_PREFIX) and raw is not None
    }
    try:
        reason = found["reason"]
        if reason not in _REASONS:
            raise ValueError(f"unknown reason {reason!r}")
        return dead_letter(
            topic=found["topic"],
            partition=int(found["partition"]),
            offset=int(found["offset"]),
            key=key,
            payload=value,
            reason=cast(DeadLetterReason, reason),
            detail=found["detail"],
            timestamp_ms=round(datetime.fromisoformat(found["ts"]).timestamp() * 1000),
        )
    except (KeyError, ValueError, OverflowError) as error:
        return dead_letter(
            topic="deadletters",
            partition=position[0],
            offset=position[1],
            key=key,
            payload=value,
            reason="unknown_event",
            detail=f"not a dead letter: {error}",
            timestamp_ms=timestamp_ms,
        )
