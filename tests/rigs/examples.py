"""One valid record per topic, with every field set, and ways to vary it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from ragwheel.schemas import deadletters, identity, wire
from ragwheel.schemas.events import (
    Candidate,
    ChunkEvent,
    FeedbackEvent,
    GradingJob,
    IndexEvent,
    JobCandidate,
    Label,
    MetricValue,
    ModelEvent,
    QueryEvent,
    Record,
    RetrievalEvent,
    SpendingEntry,
)
from ragwheel.schemas.topics import TOPICS, TopicName
from ragwheel.schemas.wire import Received

#: Yesterday: a fixed date would one day be older than intake accepts and tables keep.
NOW = datetime.now(UTC).replace(hour=9, minute=0, second=0, microsecond=250_000) - timedelta(days=1)
TEXT = "def open(path): ..."
HASH = identity.content_hash(TEXT)


def retrieval(query_id: str = "q-1", **changes: Any) -> RetrievalEvent:
    """Three candidates; the first carries its text."""
    fields: dict[str, Any] = {
        "event_id": f"r-{query_id}",
        "query_id": query_id,
        "ts": NOW,
        "service": "shop",
        "segment": "code",
        "query": "How do I open a file?",
        "stage": "dense",
        "retriever": "hnsw",
        "embedding_model": "all-MiniLM-L6-v2",
        "model_id": "m-2",
        "document_fingerprint": "f-1",
        "index": "stdlib",
        "index_version": "i-1",
        "k": 3,
        "latency_ms": 12.5,
        "candidates": (
            Candidate(chunk_id="io.open", rank=1, score=0.75, text=TEXT, in_context=True),
            Candidate(chunk_id="os.open", rank=2, score=0.5, content_hash="a" * 32),
            Candidate(chunk_id="os.fdopen", rank=3, score=0.25, content_hash="b" * 32),
        ),
    }
    return RetrievalEvent(**(fields | changes))


def query(query_id: str = "q-1", **changes: Any) -> QueryEvent:
    """A query with user, session, attributes and a field of a later version."""
    fields: dict[str, Any] = {
        "event_id": f"e-{query_id}",
        "query_id": query_id,
        "ts": NOW,
        "service": "shop",
        "segment": "code",
        "text": "How do I open a file?",
        "user": "u-1",
        "session": "s-1",
        "attributes": {"locale": "de"},
        "added_later": [1, 2],
    }
    return QueryEvent(**(fields | changes))


def examples() -> dict[TopicName, Record]:
    """One record per topic."""
    job = GradingJob(
        job_id=identity.job_id("r-q-1", "label"),
        query_id="q-1",
        query="How do I open a file?",
        query_hash=identity.query_hash("How do I open a file?"),
        segment="code",
        index="stdlib",
        ts=NOW,
        stratum="code",
        inclusion_probability=0.5,
        candidates=(JobCandidate(chunk_hash=HASH, text=TEXT), JobCandidate(chunk_hash="a" * 32)),
    )
    return {
        "queries": query(),
        "retrievals": retrieval(),
        "feedback": FeedbackEvent(
            event_id="f-1", query_id="q-1", ts=NOW, service="shop", segment="code",
            kind="thumbs_up", chunk_id="io.open", value=1.0,
        ),
        "chunks": ChunkEvent(
            event_id="c-1", chunk_id="io.open", text=TEXT, ts=NOW, source="stdlib",
            index="stdlib", index_version="i-1",
        ),
        "grading": job,
        "labels": Label(
            label_id="c" * 32, job_id=job.job_id, role="label", query_id="q-1", query=job.query,
            query_hash=job.query_hash, segment="code", chunk_hash=HASH, status="graded", grade=2,
            expected_grade=1.75, grader_id="m@1", model="m", rubric_version="1", prompt_hash="p",
            stratum="code", inclusion_probability=0.5, input_tokens=900, output_tokens=20,
            cost_usd=0.001, latency_ms=800.5, attempts=2, ts=NOW, graded_at=NOW,
        ),
        "spending": SpendingEntry(
            entry_id="e" * 32, kind="claim", worker="grader-1", day=NOW.date(), usd=0.25,
            tokens=9_000, limit_usd=5.0, limit_tokens=1_000_000, ts=NOW,
        ),
        "models": ModelEvent(
            event_id="d" * 32, model_id="m-2", incumbent_id="m-1", base_model="mini",
            action="promoted", reason="better", snapshot_id="s", triplets=10, labels=20, seed=7,
            uri="file:///m-2", document_fingerprint="f-1", ts=NOW,
            metrics=(
                MetricValue(
                    metric="recall", k=10, segment="*", system="delta", value=0.1, ci_low=0.05,
                    ci_high=0.15, queries=300,
                ),
            ),
            gate_query_hashes=(job.query_hash,),
        ),
        "deadletters": deadletters.dead_letter(
            topic="queries", partition=1, offset=7, key=b"\xff\x00", payload=b"not \xff json",
            reason="not_utf8", detail="byte 4", timestamp_ms=int(NOW.timestamp() * 1000),
        ),
    }  # fmt: skip


def declared_index() -> IndexEvent:
    """What else travels with the chunks."""
    return IndexEvent(
        event_id="i-1", index="stdlib", index_version="i-1", ts=NOW, complete=True, chunks=1,
        embedding_model="all-MiniLM-L6-v2", document_fingerprint="f-1", prompt="passage: ",
        max_seq_length=256,
    )  # fmt: skip


def records_of(topic: TopicName) -> list[Record]:
    """One record of every kind that travels in a topic."""
    return [examples()[topic], *([declared_index()] if topic == "chunks" else [])]


def message(
    topic: TopicName, record: Record, *, offset: int = 0, partition: int = 0, **changes: Any
) -> Received:
    """The Kafka message of a record, as its producer would send it."""
    fields: dict[str, Any] = {
        "key": wire.key_of(TOPICS[topic], record),
        "value": wire.encode(record),
        "timestamp_ms": int(NOW.timestamp() * 1000),
    }
    return Received(topic, partition, offset, **(fields | changes))
