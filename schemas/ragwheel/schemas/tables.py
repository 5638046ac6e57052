"""How a record becomes rows, and what makes two rows one. One function per kind of record.

The column lists here, the migrations, and the record models are three views of one truth; a
contract test applies the migrations and compares all of them, both ways.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

import orjson

from ragwheel.schemas import identity
from ragwheel.schemas.events import (
    ChunkEvent,
    DeadLetter,
    FeedbackEvent,
    GradingJob,
    IndexEvent,
    Label,
    ModelEvent,
    QueryEvent,
    Record,
    RetrievalEvent,
    SpendingEntry,
)
from ragwheel.schemas.topics import Position, TopicName

Row = tuple[Any, ...]

#: In place of a text's hash where an entry of an index has no text: it is deleted.
_NO_HASH = bytes(16)


@dataclass(frozen=True, slots=True)
class Table:
    """One table.

    Attributes:
        columns: in insert order.
        identity: what makes two rows one: the sorting key, and nothing else. Of rows that agree in
            it readers see one, whatever else differs.
    """

    name: str
    columns: tuple[str, ...]
    identity: tuple[str, ...]


_EVENT = ("query_id", "event_id")

QUERIES = Table(
    "queries",
    ("event_id", "query_id", "ts", "service", "segment", "text", "query_hash", "user", "session",
     "attributes", "extra"),
    _EVENT,
)  # fmt: skip
RETRIEVALS = Table(
    "retrievals",
    ("event_id", "query_id", "ts", "service", "segment", "query", "query_hash", "stage",
     "retriever", "embedding_model", "model_id", "document_fingerprint", "index", "index_version",
     "k", "latency_ms", "chunk_ids", "chunk_hashes", "ranks", "scores", "in_context", "extra"),
    _EVENT,
)  # fmt: skip
FEEDBACK = Table(
    "feedback",
    ("event_id", "query_id", "ts", "service", "segment", "kind", "chunk_id", "value", "extra"),
    _EVENT,
)
CHUNKS = Table("chunks", ("chunk_hash", "text", "ts"), ("chunk_hash",))
INDEX_ENTRIES = Table(
    "index_entries",
    ("index", "index_version", "chunk_id", "chunk_hash", "source", "deleted", "ts"),
    ("index", "index_version", "chunk_id"),
)
INDEXES = Table(
    "indexes",
    ("index", "index_version", "ts", "complete", "chunks", "embedding_model",
     "document_fingerprint", "prompt", "max_seq_length", "extra"),
    ("index", "index_version"),
)  # fmt: skip
GRADING_JOBS = Table(
    "grading_jobs",
    ("job_id", "role", "query_id", "query", "query_hash", "segment", "index", "ts", "stratum",
     "inclusion_probability", "chunk_hashes"),
    ("job_id",),
)  # fmt: skip
JOB_POSITIONS = Table(
    "job_positions",
    ("origin", "partition", "offset", "job_id", "role", "query_hash", "chunk_hashes"),
    ("origin", "partition", "offset"),
)
LABELS = Table(
    "labels",
    ("label_id", "job_id", "role", "source", "query_id", "query", "query_hash", "segment",
     "chunk_hash", "status", "grade", "expected_grade", "grader_id", "model", "rubric_version",
     "prompt_hash", "stratum", "inclusion_probability", "input_tokens", "output_tokens",
     "cost_usd", "latency_ms", "attempts", "reason", "ts", "graded_at"),
    ("query_hash", "label_id"),  # a label_id is made of its query_hash
)  # fmt: skip
UNFINISHED_LABELS = Table(
    "unfinished_labels",
    ("query_hash", "label_id", "role", "status", "graded_at"),
    ("query_hash", "label_id"),
)
SPENDING = Table(
    "spending",
    ("entry_id", "kind", "worker", "day", "usd", "tokens", "limit_usd", "limit_tokens", "ts"),
    ("entry_id",),
)
MODELS = Table(
    "models",
    ("event_id", "model_id", "incumbent_id", "base_model", "kind", "action", "reason",
     "snapshot_id", "triplets", "labels", "seed", "uri", "document_fingerprint", "ts", "extra"),
    ("event_id",),
)  # fmt: skip
MODEL_METRICS = Table(
    "model_metrics",
    ("event_id", "model_id", "ts", "metric", "k", "segment", "system", "value", "ci_low",
     "ci_high", "queries"),
    ("event_id", "metric", "k", "segment", "system"),
)  # fmt: skip
GATE_QUERIES = Table("gate_queries", ("event_id", "query_hash", "ts"), ("event_id", "query_hash"))
DEAD_LETTERS = Table(
    "dead_letters",
    ("dead_letter_id", "topic", "partition", "offset", "key", "payload", "reason", "detail", "ts"),
    ("dead_letter_id",),
)
INGEST_LEDGER = Table(
    "ingest_ledger",
    ("origin", "topic", "partition", "start", "until", "dead_lettered", "absent_from",
     "absent_until", "written_off", "at"),
    ("origin", "partition", "until", "start"),
)  # fmt: skip
ACCOUNTS_STATE = Table("accounts_state", ("name", "state", "at"), ("name",))
REEMBEDS = Table(
    "reembeds",
    ("reembed_id", "step", "state", "ts", "by", "reason", "index", "from_version",
     "from_fingerprint", "from_physical", "version", "physical", "store", "target",
     "document_fingerprint", "dimension", "document_prompt", "query_prompt", "max_seq_length",
     "chunks", "tokens", "hours", "uncertainty", "usd_per_hour", "machines", "findings"),
    ("reembed_id", "step"),
)  # fmt: skip
REEMBED_SHARDS = Table(
    "reembed_shards",
    ("reembed_id", "shard_id", "revision", "state", "chunk_ids", "chunk_hashes", "fates",
     "seconds", "runner", "ts"),
    ("reembed_id", "shard_id"),
)  # fmt: skip
FORGOTTEN = Table("forgotten", ("kind", "hash", "at"), ("kind", "hash"))

ALL_TABLES: tuple[Table, ...] = (
    QUERIES, RETRIEVALS, FEEDBACK, CHUNKS, INDEX_ENTRIES, INDEXES, GRADING_JOBS, JOB_POSITIONS,
    LABELS, UNFINISHED_LABELS, SPENDING, MODELS, MODEL_METRICS, GATE_QUERIES, DEAD_LETTERS,
    INGEST_LEDGER, ACCOUNTS_STATE, REEMBEDS, REEMBED_SHARDS, FORGOTTEN,
)  # fmt: skip

Rows = Iterator[tuple[Table, Row]]


def rows_of(record: Record, at: Position) -> Rows:
    """(table, row) pairs of one record; a record may fill several tables.

    Rows depend on the record alone, but for a job's position, so a replay makes equal rows.
    """
    return _MAKERS[type(record)](record, at)


def _extra(record: Record) -> str:
    unknown = record.unknown_fields()
    return orjson.dumps(unknown, option=orjson.OPT_SORT_KEYS).decode() if unknown else ""


def _query(record: Record, _: Position) -> Rows:
    e = cast(QueryEvent, record)
    attributes = orjson.dumps(e.attributes).decode() if e.attributes else ""
    yield QUERIES, (
        e.event_id, e.query_id, e.ts, e.service, e.segment, e.text,
        _raw(identity.query_hash(e.text)), e.user, e.session, attributes, _extra(e),
    )  # fmt: skip


def _retrieval(record: Record, _: Position) -> Rows:
    e = cast(RetrievalEvent, record)
    candidates = sorted(e.candidates, key=lambda candidate: candidate.rank)
    extra = record.unknown_fields()
    per_candidate = {c.chunk_id: c.model_extra for c in candidates if c.model_extra}
    if per_candidate:
        extra["candidates"] = per_candidate
    yield RETRIEVALS, (
        e.event_id, e.query_id, e.ts, e.service, e.segment, e.query,
        _raw(identity.query_hash(e.query)), e.stage, e.retriever, e.embedding_model, e.model_id,
        e.document_fingerprint, e.index, e.index_version, e.k, e.latency_ms,
        [c.chunk_id for c in candidates], [_raw(c.content_hash) for c in candidates],
        [c.rank for c in candidates], [c.score for c in candidates],
        [c.in_context for c in candidates],
        orjson.dumps(extra, option=orjson.OPT_SORT_KEYS).decode() if extra else "",
    )  # fmt: skip
    for candidate in candidates:
        if candidate.text is not None:
            yield CHUNKS, (_raw(candidate.content_hash), candidate.text, e.ts)


def _feedback(record: Record, _: Position) -> Rows:
    e = cast(FeedbackEvent, record)
    yield FEEDBACK, (
        e.event_id, e.query_id, e.ts, e.service, e.segment, e.kind, e.chunk_id or "", e.value,
        _extra(e),
    )  # fmt: skip


def _chunk(record: Record, _: Position) -> Rows:
    e = cast(ChunkEvent, record)
    chunk_hash = _raw(e.content_hash) if e.text is not None else _NO_HASH
    if e.text is not None:
        yield CHUNKS, (chunk_hash, e.text, e.ts)
    yield INDEX_ENTRIES, (
        e.index, e.index_version, e.chunk_id, chunk_hash, e.source, e.deleted, e.ts,
    )  # fmt: skip


def forgotten_entry(e: ChunkEvent, hashed_id: bytes) -> tuple[Table, Row]:
    """What is kept of a forgotten chunk: that its build had one, under a name that names nothing.

    Otherwise a build that still holds it would never be complete.
    """
    entry = (e.index, e.index_version, hashed_id.hex(), _NO_HASH, "", True, e.ts)
    return INDEX_ENTRIES, entry


def _index(record: Record, _: Position) -> Rows:
    e = cast(IndexEvent, record)
    yield INDEXES, (
        e.index, e.index_version, e.ts, e.complete, e.chunks, e.embedding_model,
        e.document_fingerprint, e.prompt, e.max_seq_length, _extra(e),
    )  # fmt: skip


def _job(record: Record, at: Position) -> Rows:
    e = cast(GradingJob, record)
    job_id, query_hash = _raw(e.job_id), _raw(e.query_hash)
    chunk_hashes = [_raw(c.chunk_hash) for c in e.candidates]
    yield GRADING_JOBS, (
        job_id, e.role, e.query_id, e.query, query_hash, e.segment, e.index, e.ts, e.stratum,
        e.inclusion_probability, chunk_hashes,
    )  # fmt: skip
    yield JOB_POSITIONS, (
        at.origin, at.partition, at.offset, job_id, e.role, query_hash, chunk_hashes,
    )  # fmt: skip


def _label(record: Record, _: Position) -> Rows:
    e = cast(Label, record)
    label_id, query_hash = _raw(e.label_id), _raw(e.query_hash)
    stored = {
        "label_id": label_id, "job_id": _raw(e.job_id), "query_hash": query_hash,
        "chunk_hash": _raw(e.chunk_hash),
    }  # fmt: skip
    yield LABELS, tuple(stored.get(name) or getattr(e, name) for name in LABELS.columns)
    # Nobody is owed a decoy: one without a grade is no work that waits.
    if e.status != "graded" and e.role != "decoy":
        yield UNFINISHED_LABELS, (query_hash, label_id, e.role, e.status, e.graded_at)


def _spending(record: Record, _: Position) -> Rows:
    e = cast(SpendingEntry, record)
    yield SPENDING, (
        _raw(e.entry_id), e.kind, e.worker, e.day, e.usd, e.tokens, e.limit_usd, e.limit_tokens,
        e.ts,
    )  # fmt: skip


def _model(record: Record, _: Position) -> Rows:
    e = cast(ModelEvent, record)
    yield MODELS, (
        e.event_id, e.model_id, e.incumbent_id, e.base_model, e.kind, e.action, e.reason,
        e.snapshot_id, e.triplets, e.labels, e.seed, e.uri,
        e.document_fingerprint, e.ts, _extra(e),
    )  # fmt: skip
    for m in e.metrics:
        yield MODEL_METRICS, (
            e.event_id, e.model_id, e.ts, m.metric, m.k, m.segment, m.system, m.value, m.ci_low,
            m.ci_high, m.queries,
        )  # fmt: skip
    for query_hash in e.gate_query_hashes:
        yield GATE_QUERIES, (e.event_id, _raw(query_hash), e.ts)


def _dead_letter(record: Record, _: Position) -> Rows:
    e = cast(DeadLetter, record)
    yield DEAD_LETTERS, (
        _raw(e.dead_letter_id), e.topic, e.partition, e.offset, e.key, e.payload, e.reason,
        e.detail, e.ts,
    )  # fmt: skip


def _raw(hexadecimal: str) -> bytes:
    """A hash as it is stored."""
    return bytes.fromhex(hexadecimal)


_MAKERS: dict[type[Record], Callable[[Record, Position], Rows]] = {
    QueryEvent: _query,
    RetrievalEvent: _retrieval,
    FeedbackEvent: _feedback,
    ChunkEvent: _chunk,
    IndexEvent: _index,
    GradingJob: _job,
    Label: _label,
    SpendingEntry: _spending,
    ModelEvent: _model,
    DeadLetter: _dead_letter,
}

#: Tables that a topic's records fill, for docs and tests.
TABLES_OF_TOPIC: dict[TopicName, tuple[Table, ...]] = {
    "queries": (QUERIES,),
    "retrievals": (RETRIEVALS, CHUNKS),
    "feedback": (FEEDBACK,),
    "chunks": (CHUNKS, INDEX_ENTRIES, INDEXES),
    "grading": (GRADING_JOBS, JOB_POSITIONS),
    "labels": (LABELS, UNFINISHED_LABELS),
    "spending": (SPENDING,),
    "models": (MODELS, MODEL_METRICS, GATE_QUERIES),
    "deadletters": (DEAD_LETTERS,),
}
