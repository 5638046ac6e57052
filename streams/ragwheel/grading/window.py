"""Work on many messages at once, acknowledge them in order.

Kafka remembers one offset per partition: acknowledging message 7 says that 0-6 are done as well.
Faust 0.15.3 would commit past a message that is still in flight, so nothing here is acknowledged
before everything older of its partition is (docs/decisions; faust-streaming issue 606). Knows
neither Kafka nor Faust.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass

_LOG = logging.getLogger(__name__)


@dataclass(slots=True)
class _Entry:
    task: asyncio.Task[None]
    acknowledge: Callable[[], object]
    admitted_at: float


class OrderedWindow:
    """Bounded concurrency with contiguous acknowledgement per partition. For one event loop.

    At most `capacity` messages are admitted and not acknowledged; `submit` waits beyond that, which
    is the back-pressure on the reader. Work is expected not to raise. If it does, its message is
    never acknowledged, nor is anything after it, and `wait_broken` returns: the process should end,
    and the messages will be delivered again.
    """

    def __init__(self, capacity: int, monotonic: Callable[[], float]) -> None:
        """`capacity` is at least 1; `monotonic` tells seconds."""
        self._lanes: dict[Hashable, deque[_Entry]] = {}
        self._room = asyncio.Semaphore(capacity)
        self._monotonic = monotonic
        self._epoch = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._broken = asyncio.Event()
        self._failure: BaseException | None = None

    async def submit(
        self, lane: Hashable, work: Callable[[], Awaitable[None]], acknowledge: Callable[[], object]
    ) -> bool:
        """Start `work`; call `acknowledge` once it and all earlier work of `lane` is done.

        Waits for room. Messages of a lane must be submitted in their order. False, and nothing is
        started, when the window was abandoned meanwhile: then older messages of the lane will come
        again, and acknowledging this one would skip them.
        """
        epoch = self._epoch
        await self._room.acquire()
        if epoch != self._epoch:
            self._room.release()
            return False
        task = asyncio.ensure_future(_run(work))
        self._idle.clear()
        entries = self._lanes.setdefault(lane, deque())
        entries.append(_Entry(task, acknowledge, self._monotonic()))
        task.add_done_callback(lambda _: self._advance(lane, entries))
        return True

    def __len__(self) -> int:
        """Messages admitted and not acknowledged."""
        return sum(map(len, self._lanes.values()))

    async def wait_broken(self) -> BaseException | None:
        """Wait until some work has raised; what it raised."""
        await self._broken.wait()
        return self._failure

    def oldest_age_s(self) -> float:
        """How long the oldest unacknowledged message has been here, seconds; 0 if none."""
        heads = [entries[0].admitted_at for entries in self._lanes.values() if entries]
        return self._monotonic() - min(heads) if heads else 0.0

    async def drain(self, grace_s: float) -> bool:
        """Wait until everything is acknowledged, at most `grace_s`. Whether it was."""
        try:
            async with asyncio.timeout(grace_s):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

    async def abandon(self) -> int:
        """Stop all work; nothing that is left will be acknowledged. How much that was.

        For a rebalance and for the end: what is abandoned is delivered again.
        """
        self._epoch += 1
        lanes, self._lanes = self._lanes, {}
        entries = [entry for lane in lanes.values() for entry in lane]
        for entry in entries:
            entry.task.cancel()
            self._room.release()
        for lane in lanes.values():
            lane.clear()  # callbacks that still come find nothing to acknowledge
        self._idle.set()
        await asyncio.gather(*(entry.task for entry in entries), return_exceptions=True)
        return len(entries)

    def _advance(self, lane: Hashable, entries: deque[_Entry]) -> None:
        """Acknowledge what is done at the head of a lane."""
        while entries and entries[0].task.done():
            head = entries[0].task
            if head.cancelled() or head.exception() is not None:
                self._failure = None if head.cancelled() else head.exception()
                self._broken.set()
                _LOG.error("work failed and blocks lane %s: %r", lane, head)
                return
            entries[0].acknowledge()
            entries.popleft()
            self._room.release()
        if not entries and self._lanes.get(lane) is entries:
            del self._lanes[lane]
        if not self._lanes:
            self._idle.set()


async def _run(work: Callable[[], Awaitable[None]]) -> None:
    await work()
