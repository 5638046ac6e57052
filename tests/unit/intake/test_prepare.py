"""What a message becomes: rows and a job, or a dead letter with a typed reason and its bytes."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import orjson
import pytest
from tests.rigs.examples import HASH, NOW, examples, message, query, records_of, retrieval

from ragwheel.intake.prepare import Acceptance, prepare, reject
from ragwheel.intake.sampling import SamplingPolicy
from ragwheel.schemas import deadletters, wire
from ragwheel.schemas.acceptance import BACKFILL_HEADER, Times
from ragwheel.schemas.events import DeadLetter
from ragwheel.schemas.settings import IntakeSettings
from ragwheel.schemas.tables import INDEX_ENTRIES, TABLES_OF_TOPIC, UNFINISHED_LABELS
from ragwheel.schemas.tombstones import Tombstones, tombstone_hash
from ragwheel.schemas.topics import TOPICS, TopicName
from ragwheel.schemas.wire import Received

RULES = Acceptance(SamplingPolicy(rate=1.0), Times(timedelta(days=400), timedelta(hours=1)))


def retrieval_json(**changes: Any) -> bytes:
    return orjson.dumps(retrieval().model_dump(mode="json") | changes)


def with_candidate(**changes: Any) -> bytes:
    raw = retrieval().model_dump(mode="json")
    raw["candidates"][1] |= changes
    return orjson.dumps(raw)


@pytest.mark.parametrize("topic", [name for name in TOPICS if name != "deadletters"])
def test_a_valid_message_becomes_rows_of_its_tables(topic: TopicName) -> None:
    made = set()
    for record in records_of(topic):
        prepared = prepare(message(topic, record, offset=5, partition=2), RULES, NOW)
        assert prepared.letter is None
        assert prepared.records == (record,)
        made |= {table for table, _ in prepared.rows}
    graded = {UNFINISHED_LABELS} if topic == "labels" else set()
    assert made == set(TABLES_OF_TOPIC[topic]) - graded
    # Only retrievals are sampled.
    assert len(prepared.jobs) == (topic == "retrievals")


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "malformed_json"),
        (b"", "malformed_json"),
        (b"{", "malformed_json"),
        (b"[1]", "malformed_json"),
        (b'{"event": "retrieval", "query": "\xff"}', "not_utf8"),
        (b" " * (1024 * 1024 + 1), "oversize"),
        (b"{}", "unknown_event"),
        (retrieval_json(event="query"), "unknown_event"),
        (retrieval_json(schema_version=2), "unknown_schema_version"),
        (retrieval_json(schema_version="1"), "unknown_schema_version"),
        (retrieval_json(query=7), "invalid_field"),
        (retrieval_json(query=""), "invalid_field"),
        (retrieval_json(query_id=None), "invalid_field"),
        (retrieval_json(ts="yesterday"), "invalid_field"),
        (retrieval_json(ts=NOW.replace(tzinfo=None).isoformat()), "invalid_field"),
        (retrieval_json(latency_ms=-1), "invalid_field"),
        (retrieval_json().replace(b"12.5", b"NaN"), "invalid_field"),
        (with_candidate(score=None), "invalid_candidates"),
        (with_candidate(rank=1), "invalid_candidates"),
        (with_candidate(rank=0), "invalid_candidates"),
        (with_candidate(content_hash="short"), "invalid_candidates"),
        (retrieval_json(ts="2000-01-01T00:00:00Z"), "timestamp_out_of_range"),
        (retrieval_json(ts="2199-01-01T00:00:00Z"), "timestamp_out_of_range"),
    ],
)
def test_a_bad_value_becomes_a_dead_letter_with_its_bytes(value: bytes | None, reason: str) -> None:
    at = Received("retrievals", 3, 17, b"q-1", value, (), 1_000)
    letter = prepare(at, RULES, NOW).letter
    assert letter is not None
    assert letter.reason == reason
    assert (letter.topic, letter.partition, letter.offset) == ("retrievals", 3, 17)
    assert (letter.key, letter.payload) == (b"q-1", value)
    assert letter.detail


@pytest.mark.parametrize(
    ("key", "reason"),
    [(None, "missing_key"), (b"", "missing_key"), (b"q-2", "key_mismatch"),
     (b"\xff", "key_mismatch")],
)  # fmt: skip
def test_a_bad_key_becomes_a_dead_letter(key: bytes | None, reason: str) -> None:
    letter = prepare(message("retrievals", retrieval(), key=key), RULES, NOW).letter
    assert letter is not None
    assert (letter.reason, letter.key) == (reason, key)


def test_what_is_valid_but_has_no_rows_is_a_dead_letter_too() -> None:
    deep = b"[" * 300 + b"]" * 300  # orjson reads this depth but does not write it
    value = wire.encode(query()).replace(b"[1,2]", deep)
    letter = prepare(Received("queries", 0, 0, b"q-1", value), RULES, NOW).letter
    assert letter is not None
    assert letter.reason == "processing_failed"
    assert letter.payload == value


def test_a_retrieval_without_results_is_valid_and_makes_no_job() -> None:
    prepared = prepare(message("retrievals", retrieval(candidates=())), RULES, NOW)
    assert prepared.letter is None
    assert prepared.jobs == ()
    assert len(prepared.rows) == 1


def test_equal_messages_make_equal_rows() -> None:
    at = message("retrievals", retrieval(), offset=9)
    assert prepare(at, RULES, NOW) == prepare(at, RULES, NOW + timedelta(minutes=5))


def test_a_dead_letter_reads_back_as_it_was_written() -> None:
    letter = examples()["deadletters"]
    assert isinstance(letter, DeadLetter)
    headers = tuple(deadletters.to_headers(letter))
    sent = Received("deadletters", 0, 4, letter.key, letter.payload, headers, 99)
    assert prepare(sent, RULES, NOW).records == (letter,)


@pytest.mark.parametrize("timestamp_ms", [-1, 0, 2**62])
def test_anything_in_the_dead_letter_topic_lands_whatever_its_timestamp(timestamp_ms: int) -> None:
    strange = Received("deadletters", 0, 4, b"k", b"v", (("x", None), ("y", "z")), timestamp_ms)
    prepared = prepare(strange, RULES, NOW)
    (letter,) = prepared.records
    assert isinstance(letter, DeadLetter)
    assert letter.reason == "unknown_event"
    assert letter.payload == b"v"
    assert len(prepared.rows) == 1


def test_a_rejected_dead_letter_keeps_its_position_alone_so_that_it_lands() -> None:
    letter = reject(Received("deadletters", 0, 4, b"k", b"v"), "processing_failed", "no").letter
    assert letter is not None
    assert (letter.topic, letter.offset, letter.key, letter.payload) == (
        "deadletters",
        4,
        None,
        None,
    )


@pytest.mark.parametrize(
    ("age", "marked", "reason"),
    [
        (timedelta(days=400), False, ""),
        (timedelta(days=401), False, "timestamp_out_of_range"),
        (timedelta(days=401), True, ""),
        (timedelta(days=20_000), True, ""),
        (timedelta(hours=-2), True, "timestamp_out_of_range"),
    ],
)
def test_a_message_that_is_marked_as_a_backfill_may_be_of_any_age(
    age: timedelta, marked: bool, reason: str
) -> None:
    sent = message("queries", query(ts=NOW - age))
    headers = [(BACKFILL_HEADER, None)] if marked else [("traceparent", b"00")]
    letter = prepare(replace(sent, headers=headers), RULES, NOW).letter
    assert (letter.reason if letter else "") == reason


def test_no_event_is_accepted_that_its_table_would_forget_at_once() -> None:
    oldest_days = IntakeSettings.model_fields["max_event_age_days"].default
    assert oldest_days < min(
        TOPICS[t].table_ttl_days for t in ("queries", "retrievals", "feedback")
    )


def test_a_forgotten_chunk_leaves_that_its_build_had_one_and_nothing_of_its_own() -> None:
    """Otherwise a build that is sent with it again would never be complete."""
    tombstones = Tombstones()
    tombstones.add("chunk", tombstone_hash("chunk", HASH), NOW)
    rules = replace(RULES, forgotten=tombstones)
    prepared = prepare(message("chunks", examples()["chunks"]), rules, NOW)
    assert (prepared.forgotten, prepared.records) == (True, ())
    ((table, row),) = prepared.rows
    assert table is INDEX_ENTRIES
    entry = dict(zip(table.columns, row, strict=True))
    assert (entry["index"], entry["index_version"], entry["deleted"]) == ("stdlib", "i-1", True)
    assert entry["chunk_id"] == tombstone_hash("chunk_id", "io.open").hex()
    assert (entry["chunk_hash"], entry["source"]) == (bytes(16), "")
