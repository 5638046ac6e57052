"""The context of one query, in plain, asynchronous and threaded code."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import weakref
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.rigs.fake_producer import FakeProducer

from ragwheel.client import Hit, RagwheelClient, TopicStats, current_query
from ragwheel.schemas.events import FeedbackEvent, QueryEvent, RetrievalEvent

HITS = [("c-1", 0.9, "one"), ("c-2", 0.8, "two"), ("c-3", 0.7, "three")]


def retrievals(producer: FakeProducer) -> list[RetrievalEvent]:
    return [event for event in producer.records() if isinstance(event, RetrievalEvent)]


def test_one_query_joins_its_retrievals_and_feedback(
    client: RagwheelClient, producer: FakeProducer
) -> None:
    with client.query("rotate a key", segment="docs", user="u-1") as query:
        query.retrieved(HITS, stage="bm25", k=3)
        query.retrieved(HITS[:2], stage="rerank", k=2, query="rotate key console")
        query.used(["c-1"])
        query.cited("c-1")
    client.feedback(query.query_id, "thumbs_up", segment=query.segment)
    events = producer.records()
    assert {getattr(event, "query_id", "") for event in events} == {query.query_id}
    assert {getattr(event, "segment", "") for event in events} == {"docs"}
    first, second = retrievals(producer)
    assert (first.stage, first.query) == ("bm25", "rotate a key")
    assert (second.stage, second.query) == ("rerank", "rotate key console")
    kinds = [event.kind for event in events if isinstance(event, FeedbackEvent)]
    assert kinds == ["cited", "thumbs_up"]


def test_used_chunks_are_marked_in_every_stage_of_the_block(
    client: RagwheelClient, producer: FakeProducer
) -> None:
    with client.query("x") as query:
        query.retrieved(HITS, stage="dense")
        query.used(HITS[1:2], "c-3")
        query.retrieved(HITS[1:], stage="rerank")
    marks = [
        [(c.chunk_id, c.in_context) for c in event.candidates] for event in retrievals(producer)
    ]
    assert marks == [
        [("c-1", False), ("c-2", True), ("c-3", True)],
        [("c-2", True), ("c-3", True)],
    ]


def test_the_query_is_sent_at_once_and_its_retrievals_when_the_block_ends(
    client: RagwheelClient, producer: FakeProducer
) -> None:
    with client.query("x") as query:
        assert [type(event) for event in producer.records()] == [QueryEvent]
        query.retrieved(HITS)
        assert len(producer.sent) == 1
    assert len(producer.sent) == 2


def test_without_a_block_retrievals_are_sent_at_once_and_used_says_where_it_belongs(
    client: RagwheelClient, producer: FakeProducer, caplog: pytest.LogCaptureFixture
) -> None:
    query = client.query("x")
    query.retrieved(HITS)
    assert len(retrievals(producer)) == 1
    query.used("c-1")
    (line,) = caplog.messages
    assert "inside the `with` block" in line


def test_the_services_exception_passes_through_and_its_retrievals_are_kept(
    client: RagwheelClient, producer: FakeProducer
) -> None:
    def serve() -> None:
        with client.query("x") as query:
            query.retrieved(HITS)
            raise LookupError("of the service")

    with pytest.raises(LookupError, match="of the service"):
        serve()
    assert len(retrievals(producer)) == 1
    assert current_query() is None


def test_the_services_exception_passes_through_even_when_sending_fails(
    client: RagwheelClient, producer: FakeProducer
) -> None:
    def serve() -> None:
        with client.query("x") as query:
            query.retrieved(HITS)
            producer.raises = RuntimeError("of the library")
            raise LookupError("of the service")

    with pytest.raises(LookupError, match="of the service"):
        serve()
    assert client.stats().topics["retrievals"] == TopicStats(invalid=1)


def test_a_retrieval_that_fails_to_be_sent_does_not_take_the_next_one_with_it(
    client: RagwheelClient, producer: FakeProducer
) -> None:
    with client.query("x") as query:
        query.retrieved([(f"c-{n}", 1.0, "x" * 60_000) for n in range(18)])
        query.retrieved(HITS, stage="rerank")
    assert [event.stage for event in retrievals(producer)] == ["rerank"]


def test_bad_arguments_inside_a_block_do_not_leave_it(
    client: RagwheelClient, producer: FakeProducer
) -> None:
    with client.query("x") as query:
        query.retrieved(None)  # type: ignore[arg-type]
        query.retrieved(HITS, stages="dense")  # type: ignore[call-arg]
        query.used(None, object())
        query.cited(object())
        query.feedback("liked")  # type: ignore[arg-type]
        with query.retrieving(depth=3) as stage:  # type: ignore[call-arg]
            stage.returned(HITS)
        query.retrieved(HITS, stage="good")
    assert [event.stage for event in retrievals(producer)] == ["dense", "good"]
    assert client.stats().topics["retrievals"].invalid == 4
    assert client.stats().topics["feedback"].invalid == 2


def test_deep_code_finds_the_query_and_blocks_nest(client: RagwheelClient) -> None:
    assert current_query() is None
    with client.query("outer") as outer:
        assert current_query() is outer
        with client.query("inner") as inner:
            assert current_query() is inner
        assert current_query() is outer
        with outer:
            assert current_query() is outer
    assert current_query() is None


def test_a_block_entered_twice_ends_with_the_outer_one(
    client: RagwheelClient, producer: FakeProducer
) -> None:
    with client.query("x") as query:
        with query:
            query.retrieved(HITS)
        assert retrievals(producer) == []
    assert len(retrievals(producer)) == 1


async def test_queries_of_parallel_tasks_stay_apart(
    client: RagwheelClient, producer: FakeProducer
) -> None:
    async def deep() -> None:
        await asyncio.sleep(0)
        found = current_query()
        assert found is not None
        found.retrieved([(found.text, 1.0, "text")])

    async def serve(text: str) -> None:
        async with client.query(text):
            # Children of the task belong to the same query.
            await asyncio.gather(deep(), deep())

    await asyncio.gather(*(serve(f"q{number}") for number in range(20)))
    events = retrievals(producer)
    assert len(events) == 40
    assert all(event.query == event.candidates[0].chunk_id for event in events)


async def test_a_cancelled_request_still_sends_what_it_found(
    client: RagwheelClient, producer: FakeProducer
) -> None:
    async def serve() -> None:
        async with client.query("x") as query:
            query.retrieved(HITS)
            await asyncio.sleep(60)

    task = asyncio.create_task(serve())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(retrievals(producer)) == 1


async def test_a_streaming_answer_closed_in_another_context_is_no_trouble(
    client: RagwheelClient, producer: FakeProducer
) -> None:
    async def answer() -> AsyncIterator[str]:
        async with client.query("x") as query:
            query.retrieved(HITS)
            yield "word"

    stream = answer()
    await asyncio.create_task(anext(stream))  # type: ignore[arg-type]
    await contextvars.Context().run(asyncio.ensure_future, stream.aclose())  # type: ignore[attr-defined]
    assert len(retrievals(producer)) == 1
    assert client.stats().total.invalid == 0
    assert current_query() is None


def test_threads_share_a_query_without_losing_retrievals(
    client: RagwheelClient, producer: FakeProducer
) -> None:
    with client.query("x") as query, ThreadPoolExecutor(8) as pool:
        for number in range(400):
            pool.submit(query.retrieved, [(f"c-{number}", 1.0, "text")])
    found = [event.candidates[0].chunk_id for event in retrievals(producer)]
    assert sorted(found) == sorted(f"c-{number}" for number in range(400))
    assert client.stats().total.invalid == 0


def test_an_agent_that_retrieves_forever_holds_a_bounded_number(
    client: RagwheelClient, producer: FakeProducer
) -> None:
    with client.query("x") as query:
        for _ in range(200):
            query.retrieved(HITS)
        assert len(retrievals(producer)) == 200 - 64
    assert len(retrievals(producer)) == 200


def test_latency_is_the_time_since_the_stage_before(
    client: RagwheelClient, producer: FakeProducer, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = 100.0
    monkeypatch.setattr("ragwheel.client.context.perf_counter", lambda: now_s)
    with client.query("x") as query:
        now_s = 100.020
        query.retrieved(HITS, stage="dense")
        now_s = 100.050
        query.retrieved(HITS, stage="rerank")
        query.retrieved(HITS, stage="given", latency_ms=7.0)
        with query.retrieving("side by side", k=3) as stage:
            now_s = 100.090
            stage.returned(HITS)
            now_s = 101.0
    measured = {event.stage: round(event.latency_ms, 6) for event in retrievals(producer)}
    assert measured == {"dense": 20.0, "rerank": 30.0, "given": 7.0, "side by side": 40.0}


async def test_a_stage_that_fails_sends_nothing(
    client: RagwheelClient, producer: FakeProducer
) -> None:
    with client.query("x") as query:
        with pytest.raises(TimeoutError):
            async with query.retrieving("dense"):
                raise TimeoutError
        async with query.retrieving("sparse", retriever="bm25", extra={"shard": 3}) as stage:
            stage.returned(HITS)
    (event,) = retrievals(producer)
    assert (event.stage, event.retriever) == ("sparse", "bm25")
    assert event.unknown_fields() == {"shard": 3}


def test_citations_take_ids_hits_and_lists(client: RagwheelClient, producer: FakeProducer) -> None:
    with client.query("x") as query:
        query.cited("c-1", Hit("c-2"), ["c-3", 4], {"c-5"})
    cited = [event.chunk_id for event in producer.records() if isinstance(event, FeedbackEvent)]
    assert cited == ["c-1", "c-2", "c-3", "4", "c-5"]


def test_a_query_leaves_nothing_behind(client: RagwheelClient) -> None:
    with client.query("x") as query:
        query.retrieved(HITS)
    left = weakref.ref(query)
    del query
    gc.collect()
    assert left() is None
