"""The label store: few queries for many look-ups, and no exception when ClickHouse is away."""

import asyncio
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest

from ragwheel.grading import store as store_module
from ragwheel.grading.store import Gatherer, LabelReader
from ragwheel.schemas.loading import load
from ragwheel.schemas.settings import ClickHouseSettings


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


class Table:
    """A slow table that counts its queries."""

    def __init__(self) -> None:
        self.queries: list[list[str]] = []
        self.gate = threading.Event()
        self.gate.set()

    def fetch(self, keys: list[str]) -> Mapping[str, int]:
        self.queries.append(keys)
        self.gate.wait(5)
        return {key: int(key) for key in keys if int(key) % 2 == 0}


async def test_look_ups_that_come_while_a_query_runs_share_the_next(
    executor: ThreadPoolExecutor,
) -> None:
    table = Table()
    gatherer: Gatherer[int] = Gatherer(table.fetch, executor)
    table.gate.clear()
    first = asyncio.create_task(gatherer.get(["0"]))
    while not table.queries:
        await asyncio.sleep(0.001)
    others = [asyncio.create_task(gatherer.get([str(n), str(n + 1)])) for n in range(2, 42)]
    await asyncio.sleep(0.01)
    table.gate.set()
    found = await asyncio.gather(first, *others)
    assert found[0] == {"0": 0}
    assert found[1] == {"2": 2}
    assert len(table.queries) == 2


async def test_keys_are_split_over_queries_of_a_bounded_size(executor: ThreadPoolExecutor) -> None:
    table = Table()
    gatherer: Gatherer[int] = Gatherer(table.fetch, executor)
    found = await gatherer.get([str(n) for n in range(5_000)])
    assert len(found) == 2_500
    assert [len(keys) for keys in table.queries] == [2_000, 2_000, 1_000]


async def test_a_caller_who_is_stopped_leaves_the_others_their_answer(
    executor: ThreadPoolExecutor,
) -> None:
    table = Table()
    gatherer: Gatherer[int] = Gatherer(table.fetch, executor)
    table.gate.clear()
    stopped = asyncio.create_task(gatherer.get(["2"]))
    patient = asyncio.create_task(gatherer.get(["2"]))
    await asyncio.sleep(0.01)
    stopped.cancel()
    table.gate.set()
    assert await patient == {"2": 2}


async def test_no_keys_ask_nothing(executor: ThreadPoolExecutor) -> None:
    table = Table()
    assert await Gatherer(table.fetch, executor).get([]) == {}
    assert table.queries == []


async def test_an_unreachable_clickhouse_knows_no_label_and_raises_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    # Port 1 is not listened on.
    settings = load(ClickHouseSettings, clickhouse_url="http://default:@127.0.0.1:1/ragwheel")
    with LabelReader(settings) as store:
        assert await store.graded("b" * 32, ["a" * 32]) == {}
        await store.check()
        assert "could not be asked" in caplog.text
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(store.texts(["b" * 32]), 0.1)  # waits for ClickHouse


async def test_texts_are_kept_by_their_length_the_latest_longest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []

    def fetch(_: LabelReader, sql: str, keys: list[str]) -> Mapping[str, str]:
        asked.extend(keys)
        return {key: key * 60 for key in keys}

    monkeypatch.setattr(LabelReader, "_pairs", fetch)
    monkeypatch.setattr(store_module, "_CHARS_KEPT", 130)
    with LabelReader(load(ClickHouseSettings)) as store:
        for key in ("a", "b", "c", "b", "c", "a"):
            assert await store.texts([key]) == {key: key * 60}
    assert asked == ["a", "b", "c", "a"], "two of 60 characters are kept, the oldest goes"
