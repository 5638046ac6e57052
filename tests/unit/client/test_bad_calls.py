"""A wrong call never gets in the way: it is counted and logged, and nothing else."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from tests.rigs.fake_producer import FakeProducer

from ragwheel.client import Hit, RagwheelClient, TopicStats

HITS = [("c-1", 0.9, "one"), ("c-2", 0.8, "two")]
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
Call = Callable[[RagwheelClient], object]


BAD_CALLS: dict[str, tuple[str, Call, str]] = {
    "an empty query": ("queries", lambda c: c.emit_query(""), "text: a str of 1"),
    "a query of None": ("queries", lambda c: c.emit_query(None), "NoneType"),  # type: ignore[arg-type]
    "no query at all": ("queries", lambda c: c.emit_query(), "missing 1 required"),  # type: ignore[call-arg]
    "an unknown argument": ("queries", lambda c: c.query("x", usr="u"), "usr"),  # type: ignore[call-arg]
    "a query id of a list": ("feedback", lambda c: c.feedback([], "cited"), "query_id"),  # type: ignore[arg-type]
    "an endless segment": ("queries", lambda c: c.emit_query("x", segment="s" * 129), "segment"),
    "a naive time": (
        "queries",
        lambda c: c.emit_query("x", ts=datetime(2026, 1, 1)),  # noqa: DTZ001
        "time zone",
    ),
    "attributes that are no mapping": (
        "queries",
        lambda c: c.emit_query("x", attributes=5),  # type: ignore[arg-type]
        "int",
    ),
    "attributes with odd keys": (
        "queries",
        lambda c: c.emit_query("x", attributes={1: 2}),  # type: ignore[dict-item]
        "str",
    ),
    "half a surrogate pair": ("queries", lambda c: c.emit_query("\ud800"), "surrogates"),
    "an extra that is ours": ("queries", lambda c: c.emit_query("x", extra={"ts": 1}), "'ts'"),
    "hits of None": ("retrievals", lambda c: c.emit_retrieval("q", "x", None), "NoneType"),  # type: ignore[arg-type]
    "a negative k": ("retrievals", lambda c: c.emit_retrieval("q", "x", [], k=-1), "k: an int"),
    "a negative latency": (
        "retrievals",
        lambda c: c.emit_retrieval("q", "x", [], latency_ms=-0.1),
        "negative",
    ),
    "a latency of NaN": (
        "retrievals",
        lambda c: c.emit_retrieval("q", "x", [], latency_ms=float("nan")),
        "finite",
    ),
    "an unknown kind": ("feedback", lambda c: c.feedback("q", "liked"), "one of"),  # type: ignore[arg-type]
    "a kind of a list": ("feedback", lambda c: c.feedback("q", []), "unhashable"),  # type: ignore[arg-type]
    "a value of text": ("feedback", lambda c: c.feedback("q", "cited", value="x"), "finite"),  # type: ignore[arg-type]
    "chunks of a number": ("chunks", lambda c: c.emit_chunks(5), "not a list"),  # type: ignore[arg-type]
    "a chunk without text": ("chunks", lambda c: c.emit_chunks([("c-1", "")]), "chunk 1"),
    "an event too large": (
        "retrievals",
        lambda c: c.emit_retrieval("q", "x", [(f"c-{n}", 1.0, "x" * 60_000) for n in range(18)]),
        "the limit is 1048576",
    ),
}


@pytest.mark.parametrize(("topic", "call", "words"), BAD_CALLS.values(), ids=BAD_CALLS.keys())
def test_a_bad_call_is_counted_and_logged_and_nothing_else(
    client: RagwheelClient,
    producer: FakeProducer,
    caplog: pytest.LogCaptureFixture,
    topic: Any,
    call: Call,
    words: str,
) -> None:
    call(client)
    assert client.stats().topics[topic] == TopicStats(invalid=1)
    assert client.stats().total == TopicStats(invalid=1)
    assert producer.sent == []
    (line,) = caplog.messages
    assert words in line
    assert "test_bad_calls.py:" in line  # the service's own line, where it can be fixed


def test_a_bad_chunk_does_not_spoil_the_others(
    client: RagwheelClient, producer: FakeProducer
) -> None:
    assert client.emit_chunks([("c-1", "one"), ("c-2", None), ("c-3", "three")]) == 2
    assert client.stats().topics["chunks"] == TopicStats(queued=2, invalid=1)


def test_an_error_of_the_services_own_generator_is_its_own(client: RagwheelClient) -> None:
    def corpus() -> Iterator[tuple[str, str]]:
        yield "c-1", "one"
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        client.emit_chunks(corpus())
    assert client.stats().topics["chunks"].queued == 1


def test_a_bad_query_still_gives_a_context_and_an_id(client: RagwheelClient) -> None:
    with client.query(None) as query:  # type: ignore[arg-type]
        assert len(query.query_id) == 36
        query.retrieved(HITS)
    with client.query(unknown=1) as query:  # type: ignore[call-arg]
        assert len(query.query_id) == 36


def test_a_flood_of_bad_calls_logs_one_line_per_kind(
    client: RagwheelClient, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(100):
        client.emit_query("")
        client.feedback("q", "liked")  # type: ignore[arg-type]
    assert client.stats().total.invalid == 200
    assert len(caplog.messages) == 2


def test_a_broken_log_handler_does_not_break_the_service(client: RagwheelClient) -> None:
    class Broken(logging.Handler):
        def handle(self, record: logging.LogRecord) -> bool:
            raise RuntimeError("no space left on device")

    handler = Broken()
    logging.getLogger("ragwheel.client").addHandler(handler)
    try:
        client.emit_query("")
    finally:
        logging.getLogger("ragwheel.client").removeHandler(handler)
    assert client.stats().total.invalid == 1


_ODD: tuple[Any, ...] = (
    None, "", "x", "ü\u0000", "\ud800", "s" * 200, "t" * 70_000, b"x", 0, 1, -1, 10**30, True, 0.5,
    float("nan"), float("-inf"), [], {}, set(), object(), NOW, ("c", 1.0), UUID(int=1), Decimal(1),
    {"chunk_id": "c", "score": 1.0, "text": "t"}, Hit("c", 1.0, "t"), Hit("d", 1.0, "u"),
    [("c", 1.0, "t")], [Hit("d", 0.5, "u", rank=7), ("e", 1, "v")], ["c"], {"a": object()},
)  # fmt: skip


def test_whatever_is_passed_nothing_raises_and_what_is_sent_will_land(
    client: RagwheelClient, producer: FakeProducer
) -> None:
    rng = random.Random(17)
    fields = {
        "query": ("query_id", "segment", "user", "session", "attributes", "ts", "event_id",
                  "extra"),
        "retrieval": ("segment", "stage", "retriever", "embedding_model", "index",
                      "index_version", "k", "latency_ms", "used", "ts", "event_id", "extra"),
        "feedback": ("chunk_id", "value", "segment", "ts", "event_id", "extra"),
    }  # fmt: skip

    def odd(often: float, usual: Any) -> Any:
        return rng.choice(_ODD) if rng.random() < often else usual

    for _ in range(3_000):
        kind = rng.choice(("query", "retrieval", "feedback", "chunks"))
        names = rng.sample(fields.get(kind, ()), k=min(2, len(fields.get(kind, ()))))
        more = {name: rng.choice(_ODD) for name in names}
        if kind == "query":
            client.emit_query(odd(0.3, "how?"), **more)
        elif kind == "retrieval":
            hits = odd(0.5, [rng.choice(_ODD), ("c-9", 0.5, "text")])
            client.emit_retrieval(odd(0.2, "q"), odd(0.2, "how?"), hits, **more)
        elif kind == "feedback":
            client.emit_feedback(odd(0.3, "q"), odd(0.3, "clicked"), **more)
        elif kind == "chunks":
            client.emit_chunks([rng.choice(_ODD), ("c-1", odd(0.5, "text"))])
            client.emit_deleted_chunks([rng.choice(_ODD)], index=odd(0.2, "docs"))
            client.emit_index(odd(0.5, "7"), chunks=odd(0.5, 3), prompt=odd(0.5, ""))
    total = client.stats().total
    assert total.queued == len(producer.sent)
    assert total.queued > 300
    assert total.invalid > 1_000
    assert len(producer.records()) == total.queued  # each was decoded as intake does
