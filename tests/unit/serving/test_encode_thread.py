"""The encode thread: who waits is answered, who hung up is dropped, who is poison fails alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import numpy as np
import pytest
from tests.rigs.serving import SeenEncoder, generation

from ragwheel.backends.telemetry import Telemetry
from ragwheel.models.encoder import VectorError
from ragwheel.schemas import metrics
from ragwheel.serving.batching import BatchLane, WaitingRoom
from ragwheel.serving.encode_thread import EncodeError, EncodeThread, OverloadedError


def lane_of(encoder: SeenEncoder) -> BatchLane:
    return BatchLane(encoder, "query", lambda texts: encoder.encode(texts, "query"), encoder.name)


@asynccontextmanager
async def running(
    telemetry: Telemetry, max_batch_tokens: int = 1_000, max_requests: int = 100
) -> AsyncIterator[EncodeThread]:
    thread = EncodeThread(WaitingRoom(max_batch_tokens), telemetry, max_requests)
    thread.start()
    yield thread
    await thread.close()
    assert not thread.alive


async def begun(encoder: SeenEncoder) -> None:
    assert await asyncio.to_thread(encoder.begun.wait, 60)


async def test_the_next_batch_forms_while_the_last_one_runs() -> None:
    encoder = SeenEncoder()
    async with running(Telemetry()) as thread:
        encoder.free.clear()
        first = asyncio.create_task(thread.results(lane_of(encoder), ["a"], [3]))
        await begun(encoder)
        rest = [
            asyncio.create_task(thread.results(lane_of(encoder), [text], [3])) for text in "bcd"
        ]
        await asyncio.sleep(0)
        encoder.free.set()
        await asyncio.gather(first, *rest)
    assert [texts for _, texts in encoder.batches] == [["a"], ["b", "c", "d"]]


async def test_results_come_in_the_order_of_the_texts_however_they_were_batched() -> None:
    encoder = SeenEncoder()
    texts = [("word " * (1 + n * 7 % 50)).strip() + str(n) for n in range(60)]
    async with running(Telemetry(), max_batch_tokens=120) as thread:
        found = await thread.results(lane_of(encoder), texts, encoder.tokens(texts).tolist())
    assert len(encoder.batches) > 3
    np.testing.assert_array_equal(found, [encoder.vector(text, "query") for text in texts])


async def test_one_poisonous_text_fails_alone() -> None:
    encoder = SeenEncoder("broken-1", poison=frozenset({"poison"}))
    telemetry = Telemetry()
    async with running(telemetry) as thread:
        encoder.free.clear()
        first = asyncio.create_task(thread.results(lane_of(encoder), ["first"], [3]))
        await begun(encoder)
        good = asyncio.create_task(thread.results(lane_of(encoder), ["good", "too"], [3, 3]))
        bad = asyncio.create_task(thread.results(lane_of(encoder), ["fine", "poison"], [3, 3]))
        await asyncio.sleep(0)
        encoder.free.set()
        await first
        np.testing.assert_array_equal((await good)[1], encoder.vector("too", "query"))
        with pytest.raises(EncodeError, match="model broken-1 failed: the vector of a text is ze"):
            await bad
    assert telemetry.value(metrics.SERVING_ENCODE_ERRORS) == 1


@pytest.mark.parametrize(
    ("made", "why"), [([float("nan")], "numbers that are none"), ([1.0, 2.0], "2 results of 1")]
)
async def test_what_a_model_must_not_make_is_its_error(made: list[float], why: str) -> None:
    lane = BatchLane(object(), "rerank", lambda _: made, "broken-2")
    async with running(Telemetry()) as thread:
        with pytest.raises(EncodeError, match=f"broken-2 failed.*{why}"):
            await thread.results(lane, ["a"], [3])


async def test_who_hung_up_is_dropped_and_counted() -> None:
    encoder, telemetry = SeenEncoder(), Telemetry()
    async with running(telemetry) as thread:
        encoder.free.clear()
        first = asyncio.create_task(thread.results(lane_of(encoder), ["a"], [3]))
        await begun(encoder)
        gone = asyncio.create_task(thread.results(lane_of(encoder), ["b", "c"], [3, 3]))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.wait([gone])
        encoder.free.set()
        await first
    assert [texts for _, texts in encoder.batches] == [["a"]]
    assert telemetry.value(metrics.SERVING_DROPPED) == 2


async def test_a_full_lane_says_when_to_come_back_and_lets_other_roles_in() -> None:
    encoder, base = SeenEncoder(), SeenEncoder("base")
    async with running(Telemetry(), max_requests=2) as thread:
        encoder.free.clear()
        first = asyncio.create_task(thread.results(lane_of(encoder), ["a"], [3]))
        await begun(encoder)
        large = asyncio.create_task(thread.results(lane_of(encoder), ["b", "c"], [9_000, 8_997]))
        await asyncio.sleep(0)
        with pytest.raises(OverloadedError) as full:
            await thread.results(lane_of(encoder), ["d"], [3])
        assert full.value.retry_after_s == 9  # at the first guess of 2,000 tokens a second
        document = asyncio.create_task(thread.results(lane_of(base), ["d"], [3]))
        await asyncio.sleep(0)
        encoder.free.set()
        assert len((await first) + (await large) + (await document)) == 4
        assert len(await thread.results(lane_of(encoder), ["d"], [3])) == 1, "there is room again"


async def test_who_hung_up_makes_room() -> None:
    encoder = SeenEncoder()
    async with running(Telemetry(), max_requests=2) as thread:
        encoder.free.clear()
        first = asyncio.create_task(thread.results(lane_of(encoder), ["a"], [3]))
        await begun(encoder)
        gone = asyncio.create_task(thread.results(lane_of(encoder), ["b"], [3]))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.wait([gone])
        stays = asyncio.create_task(thread.results(lane_of(encoder), ["c"], [3]))
        await asyncio.sleep(0)
        encoder.free.set()
        assert len((await first) + (await stays)) == 2


async def test_the_end_waits_for_who_waits() -> None:
    encoder = SeenEncoder()
    async with running(Telemetry()) as thread:
        encoder.free.clear()
        asked = [
            asyncio.create_task(thread.results(lane_of(encoder), [text], [3])) for text in "abc"
        ]
        await begun(encoder)
        ended = asyncio.create_task(thread.close())
        await asyncio.sleep(0)
        encoder.free.set()
        await ended
        for text, found in zip("abc", await asyncio.gather(*asked), strict=True):
            np.testing.assert_array_equal(found[0], encoder.vector(text, "query"))


async def test_a_generation_is_not_mixed_with_the_next_one() -> None:
    old, new = SeenEncoder("old"), SeenEncoder("new")
    now = [generation(old), generation(new)]
    async with running(Telemetry()) as thread:
        old.free.clear()
        tasks = []
        for n in range(20):
            what = now[n >= 10]
            encoder = old if n < 10 else new
            lane = BatchLane(what, "query", partial(encoder.encode, side="query"), "m")
            tasks.append(asyncio.create_task(thread.results(lane, [f"t{n}"], [3])))
        await begun(old)
        old.free.set()
        found = await asyncio.gather(*tasks)
    for n, (vector,) in enumerate(found):
        np.testing.assert_array_equal(vector, (old if n < 10 else new).vector(f"t{n}", "query"))
    assert {text for _, texts in new.batches for text in texts} == {f"t{n}" for n in range(10, 20)}


async def test_another_thread_gets_its_turn_between_two_batches() -> None:
    encoder, checked = SeenEncoder(), SeenEncoder("checked")
    async with running(Telemetry()) as thread:
        encoder.free.clear()
        first = asyncio.create_task(thread.results(lane_of(encoder), ["a"], [3]))
        await begun(encoder)
        turn = asyncio.create_task(asyncio.to_thread(thread.in_turn, checked, ["canary"], "query"))
        await asyncio.sleep(0)
        assert checked.batches == [], "one model at a time"
        encoder.free.set()
        np.testing.assert_array_equal(await turn, [checked.vector("canary", "query")])
        await first
    assert checked.batches == [("query", ["canary"])]


async def test_a_turn_on_which_the_model_fails_or_that_comes_too_late_is_an_error() -> None:
    poisoned = SeenEncoder(poison=frozenset(["canary"]))
    async with running(Telemetry()) as thread:
        with pytest.raises(VectorError, match="that is being checked failed"):
            await asyncio.to_thread(thread.in_turn, poisoned, ["canary"], "query")
    with pytest.raises(VectorError, match="has ended"):
        await asyncio.to_thread(thread.in_turn, poisoned, ["another"], "query")


def test_before_anybody_is_answered_a_turn_is_now() -> None:
    encoder = SeenEncoder()
    thread = EncodeThread(WaitingRoom(1_000), Telemetry(), 100)
    vectors = thread.in_turn(encoder, ["canary"], "document")
    np.testing.assert_array_equal(vectors, [encoder.vector("canary", "document")])
