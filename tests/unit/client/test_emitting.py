"""What a service says arrives as it was said."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from uuid import UUID

import pytest
from tests.rigs.fake_producer import FakeProducer

from ragwheel.client import Hit, RagwheelClient
from ragwheel.schemas import identity
from ragwheel.schemas.events import (
    ChunkEvent,
    FeedbackEvent,
    IndexEvent,
    QueryEvent,
    RetrievalEvent,
)

HITS = [("c-1", 0.9, "one"), ("c-2", 0.8, "two")]
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


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
        index="faq",
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
    assert (event.index, event.index_version) == ("faq", "7")
    assert (event.k, event.latency_ms) == (20, 12.5)
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


def test_a_chunk_that_is_gone_is_told_by_its_id(
    client: RagwheelClient, producer: FakeProducer
) -> None:
    gone = ["c-1", Hit("c-2", text="two"), {"id": 3}]
    assert client.emit_deleted_chunks(gone, index="docs", index_version="7", ts=NOW) == 3
    events = [each for each in producer.records("chunks") if isinstance(each, ChunkEvent)]
    assert [each.chunk_id for each in events] == ["c-1", "c-2", "3"]
    assert {(each.deleted, each.text, each.index, each.index_version) for each in events} == {
        (True, None, "docs", "7")
    }


def test_a_build_is_declared_with_what_the_index_says_of_itself(
    client: RagwheelClient, producer: FakeProducer
) -> None:
    assert client.emit_index(
        "7", index="docs", chunks=719, embedding_model="e5", document_fingerprint="f",
        prompt="passage: ", max_seq_length=512, ts=NOW,
    )  # fmt: skip
    assert client.emit_index("8", index="docs", chunks=720, complete=False)
    first, second = producer.records("chunks")
    assert isinstance(first, IndexEvent)
    assert isinstance(second, IndexEvent)
    assert (first.index, first.index_version, first.complete, first.chunks) == (
        "docs", "7", True, 719,
    )  # fmt: skip
    assert (first.embedding_model, first.document_fingerprint) == ("e5", "f")
    assert (first.prompt, first.max_seq_length, first.ts) == ("passage: ", 512, NOW)
    assert (second.index_version, second.complete) == ("8", False)


def test_a_build_without_a_name_or_with_unknown_words_is_refused_and_named(
    client: RagwheelClient, caplog: pytest.LogCaptureFixture
) -> None:
    assert not client.emit_index("", chunks=1)
    assert "name the build that is declared" in caplog.text
    assert not client.emit_index("7", chunks=1, modle="e5")  # type: ignore[call-arg]
    assert "'modle' is unknown; one of complete, document_fingerprint" in caplog.text
    assert not client.emit_index("7", chunks=-1)
    assert "chunks" in caplog.text


def test_without_texts_retrievals_carry_hashes(producer: FakeProducer) -> None:
    client = RagwheelClient(client_send_text=False)
    client.emit_retrieval("q-1", "x", HITS)
    (event,) = producer.records()
    assert isinstance(event, RetrievalEvent)
    assert [c.text for c in event.candidates] == [None, None]
    assert event.candidates[0].content_hash == identity.content_hash("one")
