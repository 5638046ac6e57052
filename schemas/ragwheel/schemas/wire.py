"""Bytes to records and back: the only decoder of what services send.

`decode` is total: whatever the bytes, it returns a record or raises `InvalidEventError` with a
reason of the closed set `DeadLetterReason`. It never raises anything else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import cast

import orjson
from pydantic import TypeAdapter, ValidationError

from ragwheel.schemas import limits
from ragwheel.schemas.errors import InvalidEventError
from ragwheel.schemas.events import (
    SCHEMA_VERSION,
    ChunkEvent,
    DeadLetterReason,
    Event,
    IndexEvent,
    Record,
)
from ragwheel.schemas.limits import MAX_DEPTH, MAX_EVENT_BYTES
from ragwheel.schemas.topics import Position, Topic, TopicName


@dataclass(frozen=True, slots=True)
class Received:
    """A Kafka message as a plain value, under the logical name of its topic."""

    topic: TopicName
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, str | bytes | None]] = ()
    timestamp_ms: int = 0
    origin: str = ""

    @property
    def position(self) -> Position:
        """Where it stood."""
        return Position(self.topic, self.partition, self.offset, self.origin)

    @property
    def size(self) -> int:
        """Bytes of key and value."""
        return len(self.key or b"") + len(self.value or b"")


def encode(record: Record) -> bytes:
    """JSON (UTF-8) of a record, unknown fields included."""
    return record.__pydantic_serializer__.to_json(record)


def key_of(topic: Topic, record: Record) -> bytes:
    """The Kafka key that the registry asks for."""
    return str(getattr(record, topic.keys[type(record)])).encode()


@cache
def _adapter(model: type[Record]) -> TypeAdapter[Record]:
    return TypeAdapter(model)


def decode(topic: Topic, key: bytes | None, value: bytes | None) -> Record:
    """Validate one message of `topic`.

    Raises:
        InvalidEventError: with the reason under which it is dead-lettered.
    """
    record = decode_value(topic, value)
    expected, name = key_of(topic, record), topic.keys[type(record)]
    if key is None or key == b"":
        raise _invalid("missing_key", f"the key must be the {name}")
    if key != expected:
        raise _invalid("key_mismatch", f"key {key[:80]!r}, but {name} is {expected[:80]!r}")
    return record


def decode_value(topic: Topic, value: bytes | None) -> Record:
    """Validate what is not yet a message: an event in a file has no key.

    Raises:
        InvalidEventError: as `decode`.
    """
    if value is None:
        raise _invalid("malformed_json", "the message has no value (a tombstone?)")
    if len(value) > MAX_EVENT_BYTES:
        raise _invalid("oversize", f"{len(value)} bytes, the limit is {MAX_EVENT_BYTES}")
    try:
        value.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _invalid("not_utf8", f"byte {error.start} is not UTF-8 ({error.reason})") from None
    try:
        raw = orjson.loads(value)
    except orjson.JSONDecodeError as error:
        # orjson refuses NaN and Infinity, which JSON has no words for; name that case.
        if b"NaN" in value or b"Infinity" in value:
            raise _invalid("invalid_field", f"NaN or Infinity is not JSON: {error}") from None
        raise _invalid("malformed_json", str(error)) from None
    if not isinstance(raw, dict):
        raise _invalid("malformed_json", f"expected an object, not {type(raw).__name__}")
    if _deeper_than(MAX_DEPTH, value, raw):
        raise _invalid("processing_failed", f"nested deeper than {MAX_DEPTH} levels")
    tag = raw.get("event")
    model = topic.models.get(tag) if isinstance(tag, str) else None
    if model is None:
        known = ", ".join(map(repr, topic.models))
        raise _invalid("unknown_event", f"`event` is {tag!r}; {topic.name} has {known}")
    version = raw.get("schema_version", SCHEMA_VERSION)
    if version != SCHEMA_VERSION or isinstance(version, bool):
        raise _invalid(
            "unknown_schema_version", f"schema_version {version!r}; known: {SCHEMA_VERSION}"
        )
    try:
        return _adapter(model).validate_python(raw)
    except ValidationError as error:
        raise _from_validation(error) from None


def check_time(
    record: Record, now: datetime, max_age: timedelta | None, max_ahead: timedelta
) -> None:
    """Refuse event times that would open partitions far from the present.

    A chunk may be old, as corpora are; one from the future would outlast all its later versions.

    Args:
        max_age: None for a backfill.

    Raises:
        InvalidEventError: reason `timestamp_out_of_range`.
    """
    if not isinstance(record, Event | ChunkEvent | IndexEvent):
        return
    earliest = limits.EARLIEST if max_age is None else now - max_age
    too_old = isinstance(record, Event) and record.ts < earliest
    if too_old or record.ts > now + max_ahead:
        since = limits.EARLIEST.date() if max_age is None else f"now - {max_age}"
        hint = "; `--backfill` takes events of any age" if too_old and max_age is not None else ""
        raise _invalid(
            "timestamp_out_of_range",
            f"ts {record.ts.isoformat()} is outside [{since}, now + {max_ahead}]{hint}",
        )


def _deeper_than(limit: int, value: bytes, raw: object) -> bool:
    """Whether JSON is nested so deep that writing it out again could fail."""
    if value.count(b"[") + value.count(b"{") <= limit:
        return False
    level = [raw]
    for _ in range(limit):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else cast(list[object], outer))
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True


def _invalid(reason: DeadLetterReason, detail: str) -> InvalidEventError:
    return InvalidEventError(reason, detail)


def _from_validation(error: ValidationError) -> InvalidEventError:
    problems = error.errors(include_url=False, include_context=False)
    in_candidates = any(
        problem["loc"][:1] == ("candidates",) or "rank" in problem["msg"] for problem in problems
    )
    shown = "; ".join(
        f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}"
        f" (got {str(problem['input'])[:80]!r})"
        for problem in problems[:5]
    )
    return _invalid("invalid_candidates" if in_candidates else "invalid_field", shown)
