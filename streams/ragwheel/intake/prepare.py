"""What one message becomes: rows and perhaps grading jobs, or a dead letter. Pure and total."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import cast

from ragwheel.intake.readers import READERS
from ragwheel.intake.sampling import SamplingPolicy, job_of
from ragwheel.schemas import deadletters
from ragwheel.schemas.acceptance import Times, accepted_rows, is_backfill
from ragwheel.schemas.errors import InvalidEventError
from ragwheel.schemas.events import (
    DeadLetter,
    DeadLetterReason,
    GradingJob,
    Record,
    RetrievalEvent,
)
from ragwheel.schemas.tables import Row, Table
from ragwheel.schemas.wire import Received


@dataclass(frozen=True, slots=True)
class Acceptance:
    """What is accepted and what is sampled."""

    policy: SamplingPolicy
    times: Times


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a message becomes: either `records` with their rows and jobs, or `letter`."""

    message: Received
    records: tuple[Record, ...] = ()
    rows: tuple[tuple[Table, Row], ...] = ()
    jobs: tuple[GradingJob, ...] = ()
    letter: DeadLetter | None = None


def prepare(message: Received, rules: Acceptance, now: datetime) -> Prepared:
    """Read, check times, derive rows, sample. Never raises: what is unusable becomes a letter."""
    try:
        records = tuple(READERS[message.topic](message))
        backfill = is_backfill(message.headers)
        rows = tuple(
            row
            for record in records
            for row in accepted_rows(record, message.position, rules.times, now, backfill=backfill)
        )
        retrievals = (record for record in records if isinstance(record, RetrievalEvent))
        jobs = tuple(filter(None, (job_of(each, rules.policy) for each in retrievals)))
    except InvalidEventError as error:
        return reject(message, cast(DeadLetterReason, error.reason), error.detail)
    except (ValueError, TypeError, ArithmeticError, RecursionError) as error:
        return reject(message, "processing_failed", f"{type(error).__name__}: {error}")
    return Prepared(message, records, rows, jobs)


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
        timestamp_ms=message.timestamp_ms,
    )
    return Prepared(message, letter=letter)
