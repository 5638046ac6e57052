"""`LabelStore` over ClickHouse: many small look-ups become few large queries.

Every job asks for twenty labels and perhaps twenty texts. While one query runs, the keys of all
other jobs gather, and the next query fetches them together: under load a query answers dozens of
jobs, when idle a job waits for nobody.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ragwheel.backends.forgotten import REFRESH_S, ForgottenReader
from ragwheel.backends.migrate import open_tables
from ragwheel.grading.sample import read_sample
from ragwheel.schemas.errors import ConfigError, RagwheelError
from ragwheel.schemas.events import GradeValue
from ragwheel.schemas.settings import ClickHouseSettings
from ragwheel.schemas.tombstones import Tombstones

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

_LOG = logging.getLogger(__name__)
T = TypeVar("T")

#: Keys per query: 70 kB of query text.
_MAX_KEYS = 2_000
#: Texts kept in memory, characters: the rarely asked are forgotten first.
_CHARS_KEPT = 32 * 1024 * 1024
#: Indexes that decoys are drawn from at a time, and how long a sample is good, seconds.
_SAMPLED_INDEXES = 16
_SAMPLE_S = 600.0
#: After a failed query ClickHouse is left alone for this long.
_SLEEP_S = 5.0

#: Along the sorting keys of the tables, by the stored bytes: the views show hexadecimal.
_GRADED_SQL = """
SELECT
    lower(hex(query_hash)) || lower(hex(label_id)),
    grade
FROM labels FINAL
WHERE (query_hash, label_id) IN (
    SELECT
        toFixedString(unhex(substring(key, 1, 32)), 16),
        toFixedString(unhex(substring(key, 33)), 16)
    FROM (SELECT arrayJoin(%(keys)s) AS key)
)
    AND status = 'graded'
"""
_TEXTS_SQL = """
SELECT
    lower(hex(chunk_hash)),
    text
FROM chunks FINAL
WHERE chunk_hash IN (SELECT toFixedString(unhex(arrayJoin(%(keys)s)), 16))
"""
_GRADED_CHUNKS_SQL = """
SELECT
    lower(hex(query_hash)),
    groupUniqArray(lower(hex(chunk_hash)))
FROM labels
WHERE query_hash IN (SELECT toFixedString(unhex(arrayJoin(%(keys)s)), 16)) AND role != 'decoy'
GROUP BY query_hash
"""


class Gatherer(Generic[T]):
    """Turns concurrent look-ups of few keys into one look-up of many. For one event loop."""

    def __init__(
        self, fetch: Callable[[list[str]], Mapping[str, T]], executor: ThreadPoolExecutor
    ) -> None:
        """`fetch` runs in `executor`; it must not raise."""
        self._fetch = fetch
        self._executor = executor
        self._waiting: dict[str, asyncio.Future[T | None]] = {}
        self._task: asyncio.Task[None] | None = None

    async def get(self, keys: Collection[str]) -> dict[str, T]:
        """Values of those `keys` that exist."""
        loop = asyncio.get_running_loop()
        futures = {
            key: self._waiting.setdefault(key, loop.create_future()) for key in dict.fromkeys(keys)
        }
        if not futures:
            return {}
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        # `wait`, not `gather`: a caller who is stopped must not cancel what others wait for.
        await asyncio.wait(futures.values())
        found = {key: future.result() for key, future in futures.items()}
        return {key: value for key, value in found.items() if value is not None}

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(0)  # let the tasks that are ready now add their keys
        while self._waiting:
            keys = list(self._waiting)[:_MAX_KEYS]
            batch = {key: self._waiting.pop(key) for key in keys}
            found: Mapping[str, T] = {}
            try:
                found = await loop.run_in_executor(self._executor, self._fetch, keys)
            finally:
                for key, future in batch.items():
                    if not future.done():
                        future.set_result(found.get(key))


class LabelReader:
    """Reads `labels` and `chunks`. Use as a context manager.

    While ClickHouse is unreachable, `graded` answers "unknown": at worst a pair is paid for again,
    under the same label_id. `texts` waits for it, because without texts there is nothing to grade.
    """

    def __init__(self, settings: ClickHouseSettings) -> None:
        """Connects at the first look-up."""
        self._settings = settings
        self._client: Client | None = None
        self._asleep_until = 0.0
        # One thread: clickhouse-connect's client is not made for concurrent use.
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="label-store")
        self._graded: Gatherer[GradeValue] = Gatherer(
            partial(self._pairs, _GRADED_SQL), self._executor
        )
        self._texts: Gatherer[str] = Gatherer(partial(self._pairs, _TEXTS_SQL), self._executor)
        self._graded_chunks: Gatherer[list[str]] = Gatherer(
            partial(self._pairs, _GRADED_CHUNKS_SQL), self._executor
        )
        self._samples: OrderedDict[str, tuple[float, Mapping[str, str]]] = OrderedDict()
        self._sampling = asyncio.Lock()
        self._kept: OrderedDict[str, str] = OrderedDict()
        self._kept_chars = 0
        self._tombstones = Tombstones()
        self._forgotten: ForgottenReader | None = None
        self._forgotten_at = float("-inf")
        self._asking = asyncio.Lock()

    def __enter__(self) -> LabelReader:
        return self

    def __exit__(self, *_: object) -> None:
        self._executor.shutdown(wait=True, cancel_futures=True)
        if self._client is not None:
            self._client.close()

    async def graded(self, query_hash: str, label_ids: Collection[str]) -> Mapping[str, GradeValue]:
        """Grades of those labels of this query that have landed as `graded`."""
        if not self._reachable():
            return {}
        found = await self._graded.get([query_hash + label_id for label_id in label_ids])
        return {key.removeprefix(query_hash): grade for key, grade in found.items()}

    async def texts(self, chunk_hashes: Collection[str]) -> Mapping[str, str]:
        """Texts of those chunks that have landed. Waits while ClickHouse is unreachable."""
        known = {each: self._kept[each] for each in chunk_hashes if each in self._kept}
        for each in known:
            self._kept.move_to_end(each)
        wanted = [each for each in chunk_hashes if each not in known]
        fetched: dict[str, str] = {}
        while wanted:
            if self._reachable():
                fetched = await self._texts.get(wanted)
                if self._reachable():  # still: the answer is an answer
                    break
            await asyncio.sleep(1.0)
        for chunk_hash, text in fetched.items():
            self._kept_chars += len(text) - len(self._kept.pop(chunk_hash, ""))
            self._kept[chunk_hash] = text
        while self._kept_chars > _CHARS_KEPT:
            self._kept_chars -= len(self._kept.popitem(last=False)[1])
        return known | fetched

    async def sample(self, index: str) -> Mapping[str, str]:
        """Some chunks of an index, hash → text, always the same ones while the index is.

        At most ten minutes old; older while ClickHouse is away, which is never waited for.
        """
        async with self._sampling:
            read_at, known = self._samples.get(index, (float("-inf"), {}))
            if time.monotonic() >= read_at + _SAMPLE_S and self._reachable():
                loop = asyncio.get_running_loop()
                ask = partial(self._trying, partial(read_sample, index=index), None)
                found = await loop.run_in_executor(self._executor, ask)
                if found is not None:
                    known = found
                    self._samples[index] = time.monotonic(), known
            if index in self._samples:
                self._samples.move_to_end(index)
            while len(self._samples) > _SAMPLED_INDEXES:
                self._samples.popitem(last=False)
        return {each: text for each, text in known.items() if not self._tombstones.chunk(each)}

    async def graded_chunks(self, query_hash: str) -> Collection[str] | None:
        """Chunks that were graded for this query, decoys apart; None while nobody can be asked."""
        if not self._reachable():
            return None
        found = await self._graded_chunks.get([query_hash])
        return found.get(query_hash, []) if self._reachable() else None

    async def check(self) -> None:
        """Look once whether ClickHouse takes us. One that is away is no fault.

        Raises:
            ConfigError: it refuses us; at the start that is a wrong setting.
        """
        loop = asyncio.get_running_loop()
        ask = partial(self._trying, lambda client: client.ping(), False, at_start=True)
        await loop.run_in_executor(self._executor, ask)

    async def forgotten(self) -> Tombstones:
        """What is forgotten, at most some seconds old; while ClickHouse is away, older.

        Then a forgotten query may be graded once more; intake keeps its labels out.
        """
        async with self._asking:
            if self._reachable() and time.monotonic() >= self._forgotten_at + REFRESH_S:
                loop = asyncio.get_running_loop()
                await loop.run_in_executor(self._executor, self._trying, self._read_forgotten, None)
                self._forgotten_at = time.monotonic()
        return self._tombstones

    def _read_forgotten(self, client: Client) -> None:
        if self._forgotten is None:
            self._forgotten = ForgottenReader(client, self._tombstones)
        self._forgotten.refresh()

    def _reachable(self) -> bool:
        return time.monotonic() >= self._asleep_until

    def _pairs(self, sql: str, keys: list[str]) -> Mapping[str, Any]:
        return dict(map(tuple, self._rows(sql, keys)))

    def _rows(self, sql: str, keys: list[str]) -> Sequence[Sequence[Any]]:
        # Bound on the client's side (%(keys)s): thousands of keys do not fit into a URL.
        return self._trying(lambda c: c.query(sql, parameters={"keys": keys}).result_rows, [])

    def _trying(self, ask: Callable[[Client], T], otherwise: T, *, at_start: bool = False) -> T:
        """Ask on the store's thread; `otherwise` when ClickHouse cannot answer."""
        # The driver's errors share no root with ours, and its transport raises urllib3's.
        from clickhouse_connect.driver.exceptions import ClickHouseError
        from urllib3.exceptions import HTTPError

        try:
            if self._client is None:
                self._client = open_tables(self._settings)
            return ask(self._client)
        except (RagwheelError, ClickHouseError, HTTPError, OSError) as error:
            if at_start and isinstance(error, ConfigError):
                raise
            _LOG.warning("ClickHouse could not be asked, next try in %.0f s: %s", _SLEEP_S, error)
            self._asleep_until = time.monotonic() + _SLEEP_S
            return otherwise
