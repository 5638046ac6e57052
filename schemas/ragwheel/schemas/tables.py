"""How a record becomes rows: one function per table, column names beside the values.

The column lists here, the migrations, and the record models are three views of one truth; a
contract test applies the migrations and compares all of them, both ways.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import orjson

from ragwheel.schemas import identity
from ragwheel.schemas.events import (
    ChunkEvent,
    DeadLetter,
    FeedbackEvent,
    GradingJob,
    Label,
    ModelEvent,
    QueryEvent,
    Record,
    RetrievalEvent,
)
from ragwheel.schemas.topics import Position, TopicName

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Columns in insert order."""

    name: str
    columns: tuple[str, ...]


_POSITION = ("kafka_partition", "kafka_offset")

QUERIES = Table(
    "queries",
    ("event_id", "query_id", "ts", "service", "segment", "text", "query_hash", "user", "session",
     "attributes", "extra", *_POSITION),
)  # fmt: skip
RETRIEVALS = Table(
    "retrievals",
    ("event_id", "query_id", "ts", "service", "segment", "query", "query_hash", "stage",
     "retriever", "embedding_model", "index_version", "k", "latency_ms", "chunk_ids",
     "chunk_hashes", "ranks", "scores", "in_context", "extra", *_POSITION),
)  # fmt: skip
FEEDBACK = Table(
    "feedback",
    ("event_id", "query_id", "ts", "service", "segment", "kind", "chunk_id", "value", "extra",
     *_POSITION),
)  # fmt: skip
CHUNKS = Table("chunks", ("chunk_hash", "text", "ts"))
INDEX_ENTRIES = Table(
    "index_entries", ("index_version", "chunk_id", "chunk_hash", "source", "ts", *_POSITION)
)
GRADING_JOBS = Table(
    "grading_jobs",
    ("job_id", "role", "query_id", "query", "query_hash", "segment", "ts", "stratum",
     "inclusion_probability", "chunk_hashes", *_POSITION),
)  # fmt: skip
LABELS = Table(
    "labels",
    ("label_id", "job_id", "role", "query_id", "query", "query_hash", "segment", "chunk_hash",
     "status", "grade", "expected_grade", "grader_id", "model", "rubric_version", "prompt_hash",
     "stratum", "inclusion_probability", "input_tokens", "output_tokens", "cost_usd",
     "latency_ms", "attempts", "reason", "ts", "graded_at", *_POSITION),
)  # fmt: skip
MODELS = Table(
    "models",
    ("event_id", "model_id", "incumbent_id", "base_model", "kind", "action", "reason",
     "snapshot_id", "triplets", "labels", "seed", "uri", "ts", "extra", *_POSITION),
)  # fmt: skip
MODEL_METRICS = Table(
    "model_metrics",
    ("event_id", "model_id", "ts", "metric", "k", "segment", "system", "value", "ci_low",
     "ci_high", "queries"),
)  # fmt: skip
DEAD_LETTERS = Table(
    "dead_letters",
    ("dead_letter_id", "topic", "partition", "offset", "key", "payload", "reason", "detail", "ts",
     *_POSITION),
)  # fmt: skip
INGEST_LEDGER = Table(
    "ingest_ledger",
    ("topic", "partition", "first_offset", "last_offset", "landed", "dead_lettered", "at"),
)

ALL_TABLES: tuple[Table, ...] = (
    QUERIES, RETRIEVALS, FEEDBACK, CHUNKS, INDEX_ENTRIES, GRADING_JOBS, LABELS, MODELS,
    MODEL_METRICS, DEAD_LETTERS, INGEST_LEDGER,
)  # fmt: skip

Rows = Iterator[tuple[Table, Row]]


def rows_of(record: Record, at: Position) -> Rows:
    """(table, row) pairs of one record; a record may fill several tables.

    Rows depend on the record and its position alone, so a replay makes equal rows.
    """
    return _MAKERS[type(record)](record, at)


def _extra(record: Record) -> str:
    unknown = record.unknown_fields()
    return orjson.dumps(unknown, option=orjson.OPT_SORT_KEYS).decode() if unknown else ""


def _query(record: Record, at: Position) -> Rows:
    e = cast(QueryEvent, record)
    attributes = orjson.dumps(e.attributes).decode() if e.attributes else ""
    yield QUERIES, (
        e.event_id, e.query_id, e.ts, e.service, e.segment, e.text, identity.query_hash(e.text),
        e.user, e.session, attributes, _extra(e), at.partition, at.offset,
    )  # fmt: skip


def _retrieval(record: Record, at: Position) -> Rows:
    e = cast(RetrievalEvent, record)
    candidates = sorted(e.candidates, key=lambda candidate: candidate.rank)
    extra = record.unknown_fields()
    per_candidate = {c.chunk_id: c.model_extra for c in candidates if c.model_extra}
    if per_candidate:
        extra["candidates"] = per_candidate
    yield RETRIEVALS, (
        e.event_id, e.query_id, e.ts, e.service, e.segment, e.query, identity.query_hash(e.query),
        e.stage, e.retriever, e.embedding_model, e.index_version, e.k, e.latency_ms,
        [c.chunk_id for c in candidates], [c.content_hash for c in candidates],
        [c.rank for c in candidates], [c.score for c in candidates],
        [c.in_context for c in candidates],
        orjson.dumps(extra, option=orjson.OPT_SORT_KEYS).decode() if extra else "",
        at.partition, at.offset,
    )  # fmt: skip
    for candidate in candidates:
        if candidate.text is not None:
            yield CHUNKS, (candidate.content_hash, candidate.text, e.ts)


def _feedback(record: Record, at: Position) -> Rows:
    e = cast(FeedbackEvent, record)
    yield FEEDBACK, (
        e.event_id, e.query_id, e.ts, e.service, e.segment, e.kind, e.chunk_id or "", e.value,
        _extra(e), at.partition, at.offset,
    )  # fmt: skip


def _chunk(record: Record, at: Position) -> Rows:
    e = cast(ChunkEvent, record)
    yield CHUNKS, (e.content_hash, e.text, e.ts)
    yield INDEX_ENTRIES, (
        e.index_version, e.chunk_id, e.content_hash, e.source, e.ts, at.partition, at.offset,
    )  # fmt: skip


def _job(record: Record, at: Position) -> Rows:
    e = cast(GradingJob, record)
    yield GRADING_JOBS, (
        e.job_id, e.role, e.query_id, e.query, e.query_hash, e.segment, e.ts, e.stratum,
        e.inclusion_probability, [c.chunk_hash for c in e.candidates], at.partition, at.offset,
    )  # fmt: skip


def _label(record: Record, at: Position) -> Rows:
    e = cast(Label, record)
    named: Sequence[Any] = [getattr(e, name) for name in LABELS.columns[: -len(_POSITION)]]
    yield LABELS, (*named, at.partition, at.offset)


def _model(record: Record, at: Position) -> Rows:
    e = cast(ModelEvent, record)
    yield MODELS, (
        e.event_id, e.model_id, e.incumbent_id, e.base_model, e.kind, e.action, e.reason,
        e.snapshot_id, e.triplets, e.labels, e.seed, e.uri, e.ts, _extra(e),
        at.partition, at.offset,
    )  # fmt: skip
    for m in e.metrics:
        yield MODEL_METRICS, (
            e.event_id, e.model_id, e.ts, m.metric, m.k, m.segment, m.system, m.value, m.ci_low,
            m.ci_high, m.queries,
        )  # fmt: skip


def _dead_letter(record: Record, at: Position) -> Rows:
    e = cast(DeadLetter, record)
    yield DEAD_LETTERS, (
        e.dead_letter_id, e.topic, e.partition, e.offset, e.key, e.payload, e.reason, e.detail,
        e.ts, at.partition, at.offset,
    )  # fmt: skip


_MAKERS: dict[type[Record], Callable[[Record, Position], Rows]] = {
    QueryEvent: _query,
    RetrievalEvent: _retrieval,
    FeedbackEvent: _feedback,
    ChunkEvent: _chunk,
    GradingJob: _job,
    Label: _label,
    ModelEvent: _model,
    DeadLetter: _dead_letter,
}

#: Tables that a topic's records fill, for docs and tests.
TABLES_OF_TOPIC: dict[TopicName, tuple[Table, ...]] = {
    "queries": (QUERIES,),
    "retrievals": (RETRIEVALS, CHUNKS),
    "feedback": (FEEDBACK,),
    "chunks": (CHUNKS, INDEX_ENTRIES),
    "grading": (GRADING_JOBS,),
    "labels": (LABELS,),
    "models": (MODELS, MODEL_METRICS),
    "deadletters": (DEAD_LETTERS,),
}
