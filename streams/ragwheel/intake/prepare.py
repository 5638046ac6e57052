"""What one message becomes: rows and perhaps grading jobs, or a dead letter. Pure and total."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import cast

from ragwheel.backends.redaction import RedactionError, Redactor
from ragwheel.intake.readers import READERS
from ragwheel.intake.sampling import SamplingPolicy, job_of
from ragwheel.schemas import deadletters, limits
from ragwheel.schemas.acceptance import Times, accepted_rows, is_backfill
from ragwheel.schemas.errors import InvalidEventError
from ragwheel.schemas.events import (
    ChunkEvent,
    DeadLetter,
    DeadLetterReason,
    GradingJob,
    QueryEvent,
    Record,
    RetrievalEvent,
)
from ragwheel.schemas.tables import FORGOTTEN, Row, Table, forgotten_entry, rows_of
from ragwheel.schemas.tombstones import Tombstones, tombstone_hash
from ragwheel.schemas.topics import SERVICE_TOPICS
from ragwheel.schemas.wire import Received


@dataclass(frozen=True, slots=True)
class Acceptance:
    """What is accepted, what is sampled, what is forgotten, and what is redacted."""

    policy: SamplingPolicy
    times: Times
    forgotten: Tombstones = field(default_factory=Tombstones)
    redactor: Redactor | None = None


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a message becomes: either `records` with their rows and jobs, or `letter`.

    Of one that is `forgotten` nothing is stored; at most tombstones for what belongs to it.
    """

    message: Received
    records: tuple[Record, ...] = ()
    rows: tuple[tuple[Table, Row], ...] = ()
    jobs: tuple[GradingJob, ...] = ()
    letter: DeadLetter | None = None
    forgotten: bool = False


def prepare(message: Received, rules: Acceptance, now: datetime) -> Prepared:
    """Read, check times, derive rows, sample. Never raises: what is unusable becomes a letter."""
    made = _made_of(message, rules, now)
    if rules.redactor is not None:
        made = _redacted(made, message, rules.redactor)
    if made.letter is not None and rules.forgotten.covers(made.letter):
        return Prepared(message, forgotten=True)
    return made


def _made_of(message: Received, rules: Acceptance, now: datetime) -> Prepared:
    try:
        if rules.redactor is not None and message.topic in SERVICE_TOPICS and message.value:
            message = replace(message, value=rules.redactor.json(message.value) or message.value)
        records = tuple(READERS[message.topic](message))
        backfill = is_backfill(message.headers)
        if any(map(rules.forgotten.covers, records)):
            return Prepared(message, rows=_tombstones(records, rules, now), forgotten=True)
        records = tuple(map(rules.forgotten.without_chunks, records))
        rows = tuple(
            row
            for record in records
            for row in accepted_rows(record, message.position, rules.times, now, backfill=backfill)
        )
        retrievals = (record for record in records if isinstance(record, RetrievalEvent))
        jobs = tuple(filter(None, (job_of(each, rules.policy) for each in retrievals)))
    except RedactionError as error:
        return reject(message, "processing_failed", f"redaction: {error}")
    except InvalidEventError as error:
        return reject(message, cast(DeadLetterReason, error.reason), error.detail)
    except (ValueError, TypeError, ArithmeticError, RecursionError) as error:
        return reject(message, "processing_failed", f"{type(error).__name__}: {error}")
    return Prepared(message, records, rows, jobs)


def _redacted(made: Prepared, message: Received, redactor: Redactor) -> Prepared:
    """Dead letters too hold nothing unredacted: what cannot be redacted is left out of them."""
    if made.letter is not None:
        letter = _redacted_letter(made.letter, redactor)
        # Of the message as it came: `reject` has to be able to do this again.
        message = replace(message, key=letter.key, value=letter.payload)
        return replace(made, message=message, letter=letter)
    if message.topic != "deadletters":
        return made
    records = tuple(
        _redacted_letter(each, redactor) if isinstance(each, DeadLetter) else each
        for each in made.records
    )
    rows = tuple(row for each in records for row in rows_of(each, message.position))
    return replace(made, records=records, rows=rows)


def _redacted_letter(letter: DeadLetter, redactor: Redactor) -> DeadLetter:
    key, payload, why = letter.key, letter.payload, ""
    try:
        detail = redactor.text(letter.detail)
        key = key and redactor.text(key.decode("utf-8", "replace")).encode()
        payload = payload and redactor.json(payload)
        if letter.payload and payload is None:
            why = "it is no JSON object"
    except RedactionError as error:
        key, payload, detail, why = None, None, letter.reason, str(error)
    if why:
        detail = f"payload left out, it cannot be redacted: {why}; {detail}"
    return letter.model_copy(
        update={"key": key, "payload": payload, "detail": detail[: limits.MAX_DETAIL_CHARS]}
    )


def _tombstones(
    records: tuple[Record, ...], rules: Acceptance, now: datetime
) -> tuple[tuple[Table, Row], ...]:
    """A forgotten user's search that was not known yet: what else belongs to it names no user.

    And that an index had a chunk which is forgotten: its build is complete without it.
    """
    searches = tuple(
        (FORGOTTEN, ("query", tombstone_hash("query", record.query_id), now))
        for record in records
        if isinstance(record, QueryEvent) and not rules.forgotten.query(record.query_id)
    )
    chunks = tuple(
        forgotten_entry(record, tombstone_hash("chunk_id", record.chunk_id))
        for record in records
        if isinstance(record, ChunkEvent)
    )
    return searches + chunks


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
