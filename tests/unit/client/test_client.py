"""The client's promise: it never gets in the way, and nothing disappears uncounted."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from confluent_kafka import KafkaError, KafkaException
from tests.rigs.fake_producer import FakeProducer

from ragwheel.backends import kafka
from ragwheel.client import Hit, RagwheelClient, TopicStats
from ragwheel.schemas import identity
from ragwheel.schemas.events import ChunkEvent, FeedbackEvent, QueryEvent, RetrievalEvent
from ragwheel.schemas.settings import ClientSettings, load

HITS = [("c-1", 0.9, "one"), ("c-2", 0.8, "two")]
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
Call = Callable[[RagwheelClient], object]


def test_a_query_arrives_with_everything_that_was_said(
    client: RagwheelClient, producer: FakeProducer
) -> None:
    query_id = client.emit_query(
        "how do I rotate a key?",
        segment="docs",
        user=UUID(int=3),
        session=42,
        attributes={"locale": "de", "price": Decimal("1.5")},
        ts=NOW,
        event_id="e-1",
        extra={"experiment": "b"},
    )
    (event,) = producer.records("queries")
    assert isinstance(event, QueryEvent)
    assert (event.query_id, event.event_id, event.ts) == (query_id, "e-1", NOW)
    assert (event.service, event.segment, event.text) == ("shop", "docs", "how do I rotate a key?")
    assert (event.user, event.session) == (str(UUID(int=3)), "42")
    assert event.attributes == {"locale": "de", "price": "1.5"}
    assert event.unknown_fields() == {"experiment": "b"}


def test_a_retrieval_arrives_with_everything_that_was_said(
    client: RagwheelClient, producer: FakeProducer
) -> None:
    assert client.emit_retrieval(
        "q-1",
        "rotate key",
        HITS,
        segment="docs",
        stage="rerank",
        retriever="faq",
        embedding_model="mini",
        index_version="7",
        k=20,
        latency_ms=12.5,
        used=["c-2"],
        ts=NOW.astimezone(timezone(timedelta(hours=5))),
    )
    (event,) = producer.records("retrievals")
    assert isinstance(event, RetrievalEvent)
    assert (event.query_id, event.query, event.ts) == ("q-1", "rotate key", NOW)
    assert (event.stage, event.retriever, event.embedding_model) == ("rerank", "faq", "mini")
    assert (event.index_version, event.k, event.latency_ms) == ("7", 20, 12.5)
    assert [c.in_context for c in event.candidates] == [False, True]
    assert event.candidates[0].content_hash == identity.content_hash("one")
    assert event.candidates[0].text == "one"


def test_a_search_without_results_is_sent(client: RagwheelClient, producer: FakeProducer) -> None:
    assert client.emit_retrieval("q-1", "nothing like it", [])
    (event,) = producer.records("retrievals")
    assert isinstance(event, RetrievalEvent)
    assert event.candidates == ()


def test_feedback_may_come_later_and_from_elsewhere(
    client: RagwheelClient, producer: FakeProducer
) -> None:
    assert client.feedback("q-1", "thumbs_up")
    assert client.emit_feedback("q-1", "dwelled", 7, value=31.5, segment="docs")
    answer, chunk = producer.records("feedback")
    assert isinstance(answer, FeedbackEvent)
    assert isinstance(chunk, FeedbackEvent)
    assert (answer.kind, answer.chunk_id, answer.value) == ("thumbs_up", None, 1.0)
    assert (chunk.chunk_id, chunk.value, chunk.segment) == ("7", 31.5, "docs")


def test_the_corpus_is_sent_once_however_often_it_is_sent(
    client: RagwheelClient, producer: FakeProducer
) -> None:
    chunks = [("c-1", "one"), {"id": "c-2", "text": "two"}, Hit("c-3", text="three")]
    assert client.emit_chunks(chunks, source="handbook", index_version="7") == 3
    assert client.emit_chunks(chunks, source="handbook", index_version="7", ts=NOW) == 3
    events = producer.records("chunks")
    assert all(isinstance(event, ChunkEvent) for event in events)
    ids = [event.event_id for event in events if isinstance(event, ChunkEvent)]
    assert ids[:3] == ids[3:]
    assert len(set(ids)) == 3


def test_without_texts_retrievals_carry_hashes(producer: FakeProducer) -> None:
    client = RagwheelClient(client_send_text=False)
    client.emit_retrieval("q-1", "x", HITS)
    (event,) = producer.records()
    assert isinstance(event, RetrievalEvent)
    assert [c.text for c in event.candidates] == [None, None]
    assert event.candidates[0].content_hash == identity.content_hash("one")


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
    assert "test_client.py:" in line  # the service's own line, where it can be fixed


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


def test_a_full_queue_drops_and_counts(
    client: RagwheelClient, producer: FakeProducer, caplog: pytest.LogCaptureFixture
) -> None:
    producer.room = 2
    assert [client.emit_retrieval("q", "x", HITS) for _ in range(50)] == [True] * 2 + [False] * 48
    assert client.stats().topics["retrievals"] == TopicStats(queued=2, dropped=48)
    (line,) = caplog.messages
    assert "RAGWHEEL_CLIENT_QUEUE_MIB" in line
    assert "RAGWHEEL_KAFKA_BOOTSTRAP_SERVERS (localhost:9092)" in line


def test_an_indexing_job_may_wait_for_room(client: RagwheelClient, producer: FakeProducer) -> None:
    producer.room = 2
    assert client.emit_chunks([(f"c-{n}", str(n)) for n in range(50)], wait_s=5.0) == 50
    assert client.stats().topics["chunks"].dropped == 0


def test_every_queued_event_ends_as_delivered_or_failed(
    client: RagwheelClient, producer: FakeProducer, caplog: pytest.LogCaptureFixture
) -> None:
    client.emit_query("one")
    assert client.stats().total.pending == 1
    assert client.flush() == 0
    client.emit_query("two")
    client.emit_query("three")
    producer.fail(KafkaError.UNKNOWN_TOPIC_OR_PART)
    assert client.stats().total == TopicStats(queued=3, delivered=1, failed=2)
    assert client.stats().total.pending == 0
    (line,) = caplog.messages
    assert "ragwheel.queries" in line
    assert "the topic exists" in line


def test_a_producer_that_refuses_drops_and_counts(
    client: RagwheelClient, producer: FakeProducer, caplog: pytest.LogCaptureFixture
) -> None:
    producer.raises = KafkaException(KafkaError(KafkaError._FATAL))
    assert not client.feedback("q", "cited")
    assert client.stats().total == TopicStats(dropped=1)
    assert len(caplog.messages) == 1


def test_a_configuration_that_kafka_refuses_drops_counts_and_is_not_tried_at_every_event(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tries: list[int] = []

    def refuse(*_: object, **__: object) -> None:
        tries.append(1)
        raise KafkaException(KafkaError(KafkaError._INVALID_ARG))

    monkeypatch.setattr(kafka, "producer", refuse)
    client = RagwheelClient()
    for _ in range(100):
        client.emit_query("x")
    assert client.stats().total == TopicStats(dropped=100)
    assert len(tries) == 1
    (line,) = caplog.messages
    assert "RAGWHEEL_KAFKA_BOOTSTRAP_SERVERS" in line


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("RAGWHEEL_CLIENT_QUEUE_MIB", "lots", "RAGWHEEL_CLIENT_QUEUE_MIB: 'lots'"),
        ("RAGWHEEL_SERVCE", "shop", "did you mean RAGWHEEL_SERVICE?"),
    ],
)
def test_a_wrong_setting_is_said_once_and_every_event_counts_as_dropped(
    producer: FakeProducer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    name: str,
    value: str,
    words: str,
) -> None:
    monkeypatch.setenv(name, value)
    client = RagwheelClient()
    assert client.problem == ""  # the environment is not read before the first event
    with client.query("x") as query:
        query.retrieved(HITS)
        query.cited("c-1")
    client.emit_chunks([("c-1", "one")])
    assert words in client.problem
    assert [stats.dropped for stats in client.stats().topics.values()] == [1, 1, 1, 1]
    assert producer.sent == []
    (line,) = caplog.messages
    assert words in line
    monkeypatch.delenv(name)
    client.configure(service="shop")
    assert client.feedback("q", "cited")
    assert client.problem == ""


def test_a_disabled_client_accepts_everything_and_does_nothing(
    producer: FakeProducer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("RAGWHEEL_CLIENT_ENABLED", "false")
    client = RagwheelClient()
    with client.query("x") as query:
        query.retrieved(HITS)
        query.used("c-1")
        query.cited("c-1")
    assert not client.feedback(query.query_id, "thumbs_up")
    assert client.emit_chunks([("c-1", "one")]) == 0
    assert client.flush() == 0
    client.close()
    assert producer.sent == []
    assert client.stats().total == TopicStats()
    assert caplog.messages == []


def test_events_after_close_are_dropped_and_counted(
    client: RagwheelClient, producer: FakeProducer
) -> None:
    with client:
        client.emit_query("one")
    client.close()
    client.emit_query("two")
    assert client.stats().total == TopicStats(queued=1, delivered=1, dropped=1)


def test_settings_may_be_given_instead_of_read(producer: FakeProducer) -> None:
    client = RagwheelClient(load(ClientSettings, service="given"), client_send_text=False)
    client.emit_retrieval("q", "x", HITS)
    (event,) = producer.records()
    assert isinstance(event, RetrievalEvent)
    assert event.service == "given"
    assert event.candidates[0].text is None


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
        "retrieval": ("segment", "stage", "retriever", "embedding_model", "index_version", "k",
                      "latency_ms", "used", "ts", "event_id", "extra"),
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
    total = client.stats().total
    assert total.queued == len(producer.sent)
    assert total.queued > 300
    assert total.invalid > 1_000
    assert len(producer.records()) == total.queued  # each was decoded as intake does
