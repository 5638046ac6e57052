"""What one message becomes: rows and perhaps a grading job, or a dead letter. Pure and total."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import cast

from ragwheel.intake.sampling import SamplingPolicy, job_of
from ragwheel.schemas import deadletters, wire
from ragwheel.schemas.errors import InvalidEventError
from ragwheel.schemas.events import (
    DeadLetter,
    DeadLetterReason,
    GradingJob,
    Record,
    RetrievalEvent,
)
from ragwheel.schemas.tables import Row, Table, rows_of
from ragwheel.schemas.topics import TOPICS
from ragwheel.schemas.wire import Received

# Brokers may accept any producer's timestamp; outside of this the dead letter could not be stored.
_LATEST_TIMESTAMP_MS = 4_102_444_800_000  # 2100-01-01


@dataclass(frozen=True, slots=True)
class Acceptance:
    """What is accepted and what is sampled."""

    policy: SamplingPolicy
    max_age: timedelta
    max_ahead: timedelta


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a message becomes: either `record` with its rows, or `letter`."""

    message: Received
    record: Record | None = None
    rows: tuple[tuple[Table, Row], ...] = ()
    job: GradingJob | None = None
    letter: DeadLetter | None = None


def prepare(message: Received, rules: Acceptance, now: datetime) -> Prepared:
    """Validate, derive rows, sample. Never raises: what is unusable becomes a dead letter."""
    if message.topic == "deadletters":
        letter = deadletters.from_message(
            message.key,
            message.value,
            message.headers,
            position=(message.partition, message.offset),
            timestamp_ms=_stored_ms(message),
        )
        return Prepared(message, letter, tuple(rows_of(letter, message.position)))
    try:
        record = wire.decode(TOPICS[message.topic], message.key, message.value)
        wire.check_time(record, now, rules.max_age, rules.max_ahead)
        rows = tuple(rows_of(record, message.position))
        job = job_of(record, rules.policy) if isinstance(record, RetrievalEvent) else None
    except InvalidEventError as error:
        return reject(message, cast(DeadLetterReason, error.reason), error.detail)
    except (ValueError, TypeError, ArithmeticError, RecursionError) as error:
        # Valid by the model and yet without rows: unknown fields nested too deep to write, say.
        return reject(message, "processing_failed", f"{type(error).__name__}: {error}")
    return Prepared(message, record, rows, job)


def reject(message: Received, reason: DeadLetterReason, detail: str) -> Prepared:
    """The message as a dead letter.

    A rejected dead letter keeps only the position of what it preserved: with the bytes that were
    refused it would be refused again, without end.
    """
    keep = message.topic != "deadletters"
    letter = deadletters.dead_letter(
        topic=message.topic,
        partition=message.partition,
        offset=message.offset,
        key=message.key if keep else None,
        payload=message.value if keep else None,
        reason=reason,
        detail=detail.encode("utf-8", "replace").decode(),
        timestamp_ms=_stored_ms(message),
    )
    return Prepared(message, letter=letter)


def shortened(letter: DeadLetter) -> DeadLetter:
    """Half of a dead letter that the broker finds too large, with a note that it is half."""
    payload = letter.payload or b""
    half = payload[: len(payload) // 2]
    detail = f"payload cut to {len(half)} of {len(payload)} bytes to fit; {letter.detail}"[:4_000]
    return letter.model_copy(update={"payload": half, "detail": detail})


def _stored_ms(message: Received) -> int:
    return min(max(message.timestamp_ms, 0), _LATEST_TIMESTAMP_MS)
