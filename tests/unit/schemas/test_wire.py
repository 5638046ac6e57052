"""The decoder is total: a record, or a reason of the closed set; never anything else."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any, get_args

import orjson
import pytest
from tests.rigs.examples import NOW, examples

from ragwheel.schemas import wire
from ragwheel.schemas.errors import InvalidEventError
from ragwheel.schemas.events import ChunkEvent, DeadLetterReason, QueryEvent
from ragwheel.schemas.limits import MAX_DEPTH, MAX_EVENT_BYTES
from ragwheel.schemas.tables import rows_of
from ragwheel.schemas.topics import TOPICS, Position, TopicName

QUERY: dict[str, Any] = {
    "event": "query", "event_id": "e-1", "query_id": "q-1", "ts": "2026-11-23T12:00:00Z",
    "text": "how?",
}  # fmt: skip
RETRIEVAL: dict[str, Any] = {
    "event": "retrieval", "event_id": "e-1", "query_id": "q-1", "ts": "2026-11-23T12:00:00Z",
    "query": "how?", "candidates": [{"chunk_id": "c", "rank": 1, "score": 1, "text": "t"}],
}  # fmt: skip
KEY = b"q-1"
DEEP = b"[" * 900 + b"]" * 900


def query(**changes: Any) -> bytes:
    return orjson.dumps(QUERY | changes)


def retrieval(*candidates: dict[str, Any]) -> bytes:
    usual = RETRIEVAL["candidates"][0]
    return orjson.dumps(RETRIEVAL | {"candidates": [usual | changes for changes in candidates]})


def reason_of(topic: TopicName, key: bytes | None, value: bytes | None) -> str:
    with pytest.raises(InvalidEventError) as refused:
        wire.decode(TOPICS[topic], key, value)
    assert refused.value.reason in get_args(DeadLetterReason)
    assert refused.value.detail
    return refused.value.reason


@pytest.mark.parametrize("topic", TOPICS)
def test_every_record_survives_the_wire(topic: TopicName) -> None:
    if topic == "deadletters":
        return  # travels as original bytes and headers: test_deadletters.py
    record = examples()[topic]
    sent = wire.encode(record)
    assert wire.decode(TOPICS[topic], wire.key_of(TOPICS[topic], record), sent) == record
    assert wire.decode_value(TOPICS[topic], sent) == record


@pytest.mark.parametrize(
    ("reason", "topic", "key", "value"),
    [
        ("malformed_json", "queries", KEY, None),
        ("malformed_json", "queries", KEY, b""),
        ("malformed_json", "queries", KEY, b"{"),
        ("malformed_json", "queries", KEY, b"[]"),
        ("malformed_json", "queries", KEY, b'"text"'),
        ("malformed_json", "queries", KEY, b"null"),
        ("malformed_json", "queries", KEY, b"\xef\xbb\xbf" + query()),
        ("malformed_json", "queries", KEY, query() + query()),
        ("malformed_json", "queries", KEY, b'{"query_id": "\\ud800"}'),
        ("malformed_json", "queries", KEY, b"[" * 100_000),
        ("not_utf8", "queries", KEY, b'{"text": "\xff"}'),
        ("not_utf8", "queries", KEY, b"\xc0\x80"),
        ("not_utf8", "queries", KEY, "{}".encode("utf-16")),
        ("unknown_event", "queries", KEY, b"{}"),
        ("unknown_event", "queries", KEY, query(event="feedback")),
        ("unknown_event", "queries", KEY, query(event=["query"])),
        ("unknown_event", "retrievals", KEY, query()),
        ("unknown_schema_version", "queries", KEY, query(schema_version=2)),
        ("unknown_schema_version", "queries", KEY, query(schema_version="1")),
        ("unknown_schema_version", "queries", KEY, query(schema_version=True)),
        ("unknown_schema_version", "queries", KEY, query(schema_version=None)),
        ("invalid_field", "queries", KEY, query(text="")),
        ("invalid_field", "queries", KEY, query(text=None)),
        ("invalid_field", "queries", KEY, query(ts="9999-12-31T23:59:59-12:00")),
        ("invalid_field", "queries", KEY, query(ts="0001-01-01T00:00:00+14:00")),
        ("invalid_field", "queries", KEY, query(ts=1e300)),
        ("invalid_field", "queries", KEY, query().replace(b'"how?"', b"NaN")),
        ("invalid_field", "retrievals", KEY, retrieval({}).replace(b":1,", b":-Infinity,")),
        ("processing_failed", "queries", KEY, query().replace(b'"how?"', DEEP)),
        ("invalid_candidates", "retrievals", KEY, retrieval({}, {})),
        ("invalid_candidates", "retrievals", KEY, retrieval({"rank": 0})),
        ("invalid_candidates", "retrievals", KEY, retrieval({"score": "high"})),
        ("invalid_candidates", "retrievals", KEY, retrieval({"text": None})),
        ("invalid_candidates", "retrievals", KEY, orjson.dumps(RETRIEVAL | {"candidates": 1})),
        ("missing_key", "queries", None, query()),
        ("missing_key", "queries", b"", query()),
        ("key_mismatch", "queries", b"q-2", query()),
        ("key_mismatch", "queries", b"\xff", query()),
        ("oversize", "queries", KEY, query(padding="x" * MAX_EVENT_BYTES)),
        ("oversize", "queries", KEY, b"\xff" * (MAX_EVENT_BYTES + 1)),
    ],
)
def test_each_fault_has_its_reason(
    reason: str, topic: TopicName, key: bytes | None, value: bytes | None
) -> None:
    assert reason_of(topic, key, value) == reason


def test_the_largest_event_is_taken() -> None:
    padding = MAX_EVENT_BYTES - len(query(padding=""))
    assert wire.decode(TOPICS["queries"], KEY, query(padding="x" * padding))
    assert reason_of("queries", KEY, query(padding="x" * (padding + 1))) == "oversize"


@pytest.mark.parametrize("field", ["attributes", "added_later"])
def test_whatever_is_let_in_can_be_written_again(field: str) -> None:
    def nested(levels: int) -> bytes:
        inner = b"[" * levels + b"]" * levels
        return query().replace(b'"how?"', b'"how?","' + field.encode() + b'":{"a":' + inner + b"}")

    record = wire.decode(TOPICS["queries"], KEY, nested(MAX_DEPTH - 2))
    assert wire.decode(TOPICS["queries"], KEY, wire.encode(record)) == record
    assert rows_of(record, Position("queries", 0, 0))
    for levels in (MAX_DEPTH - 1, 300, 1_000):
        for value in (nested(levels), nested(levels).replace(b'"event_id":"e-1",', b"")):
            assert reason_of("queries", KEY, value) == "processing_failed"


def test_braces_in_texts_and_many_candidates_are_not_depth() -> None:
    value = retrieval(*({"rank": rank, "text": "[{" * 200} for rank in range(1, 201)))
    assert wire.decode(TOPICS["retrievals"], KEY, value)


def test_details_name_the_field_and_the_value() -> None:
    with pytest.raises(InvalidEventError, match=r"text: String should .* \(got ''\)"):
        wire.decode(TOPICS["queries"], KEY, query(text=""))
    with pytest.raises(InvalidEventError, match=r"candidates\.0\.score"):
        wire.decode(TOPICS["retrievals"], KEY, retrieval({"score": "high"}))
    with pytest.raises(InvalidEventError, match="rank 1 repeats"):
        wire.decode(TOPICS["retrievals"], KEY, retrieval({}, {}))
    with pytest.raises(InvalidEventError) as long:
        wire.decode(TOPICS["queries"], KEY, query(**{f"f{n}": n for n in range(9)}, text=5))
    assert len(long.value.detail) < 1_000


@pytest.mark.parametrize("topic", TOPICS)
def test_no_bytes_make_the_decoder_raise_anything_else(topic: TopicName) -> None:
    rng = random.Random(17)
    if topic == "deadletters":
        seeds = [b'{"event":"deadletter"}']
    else:
        seeds = [wire.encode(examples()[topic])]
    key = None if topic == "deadletters" else wire.key_of(TOPICS[topic], examples()[topic])
    tokens = [b"null", b"NaN", b"1e999", b"-1", b'""', b"[]", b"{}", b'"\\ud800"', b"\xff", b'"',
              b"9" * 400, b"true", b"\x00", b"}", DEEP]  # fmt: skip
    outcomes: set[str] = set()
    for _ in range(1_500):
        value = bytearray(rng.choice(seeds))
        for _ in range(rng.randint(0, 3)):
            start = rng.randrange(len(value))
            end = min(len(value), start + rng.randint(0, 12))
            value[start:end] = rng.choice([rng.choice(tokens), rng.randbytes(rng.randint(0, 6))])
        try:
            wire.decode(TOPICS[topic], key, bytes(value))
        except InvalidEventError as error:
            outcomes.add(error.reason)
    assert outcomes <= set(get_args(DeadLetterReason))
    assert {"malformed_json", "not_utf8"} <= outcomes


def test_random_values_in_every_field_are_records_or_reasons() -> None:
    rng = random.Random(17)
    values: list[Any] = [
        None, "", "x", 0, 1, -1, 2**63, 1e300, True, [], {}, [[]], {"a": 1}, "x" * 300,
        "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59",
    ]  # fmt: skip
    reasons: set[str] = set()
    for topic, record in examples().items():
        if topic == "deadletters":
            continue
        usual = orjson.loads(wire.encode(record))
        decoded = 0
        for _ in range(600):
            raw = dict(usual)
            for field in rng.sample(sorted(raw), k=rng.randint(0, 2)):
                raw[field] = rng.choice(values)
            try:
                decoded_record = wire.decode_value(TOPICS[topic], orjson.dumps(raw))
            except InvalidEventError as error:
                reasons.add(error.reason)
            else:
                decoded += 1
                assert rows_of(decoded_record, Position("queries", 0, 0))
                assert wire.encode(decoded_record)
        assert 100 < decoded < 600
    assert reasons <= set(get_args(DeadLetterReason))


def test_times_far_from_the_present_are_refused() -> None:
    def check(**age: float) -> None:
        event = QueryEvent(query_id="q", ts=NOW - timedelta(**age), text="x")
        wire.check_time(event, NOW, timedelta(days=400), timedelta(hours=1))

    check(days=400)
    check(hours=-1)
    for age in ({"days": 400, "seconds": 1}, {"hours": -1, "seconds": -1}):
        with pytest.raises(InvalidEventError) as refused:
            check(**age)
        assert refused.value.reason == "timestamp_out_of_range"


def test_a_chunk_may_be_old_but_not_from_the_future() -> None:
    def check(age: timedelta) -> None:
        chunk = ChunkEvent(chunk_id="c", ts=NOW - age, text="x")
        wire.check_time(chunk, NOW, timedelta(days=400), timedelta(hours=1))

    check(timedelta(days=4_000))
    with pytest.raises(InvalidEventError, match="timestamp_out_of_range"):
        check(timedelta(hours=-2))


def test_our_own_records_are_of_any_age() -> None:
    for topic in ("grading", "labels", "models"):
        record = examples()[topic]
        wire.check_time(record, NOW + timedelta(days=5_000), timedelta(days=1), timedelta(0))
