"""What the demo's service tells ragwheel is what happened, event by event."""

from __future__ import annotations

import random
from datetime import UTC, datetime

import numpy as np
import pytest
from tests.rigs.fake_producer import FakeProducer

from ragwheel.backends import kafka
from ragwheel.client import RagwheelClient
from ragwheel.demo.behaviour import CONTEXT_SIZE
from ragwheel.demo.playing import RESULTS, Searched, play_searches, send_twice
from ragwheel.demo.search import IndexedChunk, SearchService
from ragwheel.demo.searches import CorpusQuestion, plan
from ragwheel.models.encoder import Vectors
from ragwheel.schemas.events import FeedbackEvent, QueryEvent, RetrievalEvent

_COUNT = 60
QUESTIONS = tuple(CorpusQuestion(f"Return value {n}", "text", f"m:f{n}") for n in range(_COUNT))
CHUNKS = [IndexedChunk(f"m:f{n}", f"{n:032x}") for n in range(_COUNT)]
SEARCHES = plan(QUESTIONS, 200, 10, random.Random(1))


def unit_vectors(seed: int) -> Vectors:
    raw = np.random.default_rng(seed).normal(size=(_COUNT, 8))
    vectors: Vectors = (raw / np.linalg.norm(raw, axis=1, keepdims=True)).astype(np.float32)
    return vectors


@pytest.fixture
def producer(monkeypatch: pytest.MonkeyPatch) -> FakeProducer:
    """Stands in for the client's producer; tests flush, so nobody has to poll."""
    fake = FakeProducer()
    monkeypatch.setattr(kafka, "producer", lambda *_, **__: fake)
    return fake


def play(client: RagwheelClient, *, blind: bool = False) -> Searched:
    """Play `SEARCHES` on an index that knows all answers, or on one that finds them by chance."""
    chunks = unit_vectors(1)
    questions = unit_vectors(2) if blind else chunks
    row_of = {question: row for row, question in enumerate(QUESTIONS)}
    vector_of = {search.text: questions[row_of[search.question]] for search in SEARCHES}
    return play_searches(
        client,
        SearchService(CHUNKS, chunks),
        SEARCHES,
        vector_of,
        random.Random(1),
        lambda done: None,
    )


def test_every_search_is_a_query_and_a_retrieval_with_the_same_id(producer: FakeProducer) -> None:
    played = play(RagwheelClient(service="demo"))

    queries = [r for r in producer.records("queries") if isinstance(r, QueryEvent)]
    retrievals = [r for r in producer.records("retrievals") if isinstance(r, RetrievalEvent)]
    assert len(queries) == len(retrievals) == len(SEARCHES) == len(played.latencies_ms)
    assert [q.query_id for q in queries] == [r.query_id for r in retrievals]
    assert len({q.query_id for q in queries}) == len(SEARCHES)
    assert [q.text for q in queries] == [search.text for search in SEARCHES]
    assert {q.service for q in queries} == {"demo"}


def test_retrievals_carry_hashes_scores_and_what_was_used_but_no_texts(
    producer: FakeProducer,
) -> None:
    play(RagwheelClient())

    full = [r for r in producer.records("retrievals") if isinstance(r, RetrievalEvent)]
    full = [r for r in full if r.candidates]
    assert {len(r.candidates) for r in full} == {RESULTS}
    for retrieval in full:
        scores = [candidate.score for candidate in retrieval.candidates]
        assert scores == sorted(scores, reverse=True)
        assert all(c.text is None for c in retrieval.candidates)
        assert [c.rank for c in retrieval.candidates if c.in_context] == [
            *range(1, CONTEXT_SIZE + 1)
        ]


def test_empty_results_are_reported_and_counted(producer: FakeProducer) -> None:
    played = play(RagwheelClient())

    empty = [
        r
        for r in producer.records("retrievals")
        if isinstance(r, RetrievalEvent) and not r.candidates
    ]
    assert len(empty) == played.zero_results == 10
    assert played.answer_in_results == len(SEARCHES) - 10


def test_feedback_belongs_to_shown_chunks_of_its_own_query(producer: FakeProducer) -> None:
    play(RagwheelClient(), blind=True)

    shown = {
        r.query_id: {c.chunk_id for c in r.candidates}
        for r in producer.records("retrievals")
        if isinstance(r, RetrievalEvent)
    }
    feedback = [r for r in producer.records("feedback") if isinstance(r, FeedbackEvent)]
    assert feedback
    for one in feedback:
        assert one.chunk_id is None or one.chunk_id in shown[one.query_id]


def test_a_seed_repeats_a_run_event_by_event(producer: FakeProducer) -> None:
    def content(record: object) -> dict[str, object]:
        assert isinstance(record, QueryEvent | RetrievalEvent | FeedbackEvent)
        return record.model_dump(exclude={"ts", "event_id", "latency_ms"})

    play(RagwheelClient())
    first = [content(r) for r in producer.records()]
    producer.sent.clear()
    play(RagwheelClient())

    assert [content(r) for r in producer.records()] == first


def test_events_that_are_sent_twice_are_equal_to_the_byte(producer: FakeProducer) -> None:
    copies = send_twice(RagwheelClient(), SEARCHES[:5], datetime(2026, 11, 23, tzinfo=UTC))

    assert copies == {"queries": 5, "feedback": 5}
    assert len(producer.sent) == 20
    assert len(set(producer.sent)) == 10


def test_the_client_counts_what_was_sent(producer: FakeProducer) -> None:
    client = RagwheelClient()
    play(client)
    client.flush(1)

    stats = client.stats()
    assert stats.topics["retrievals"].delivered == len(SEARCHES)
    assert stats.total.delivered == len(producer.sent)
    assert stats.total.dropped == stats.total.failed == stats.total.invalid == 0
