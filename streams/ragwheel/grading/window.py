"""Work on many messages at once, acknowledge them in order, each partition in a share of its own.

Kafka remembers one offset per partition: acknowledging message 7 says that 0-6 are done as well.
Faust 0.15.3 would commit past a message that is still in flight, so nothing here is acknowledged
before everything older of its partition is (docs/decisions; faust-streaming issue 606). Knows
neither Kafka nor Faust.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import islice
from typing import Protocol

_LOG = logging.getLogger(__name__)

Work = Callable[[], Awaitable[None]]


class Source(Protocol):
    """Where the messages of a lane come from."""

    def pause(self, lane: int) -> None:
        """Bring no more of `lane`; what is on its way may still come. May be said again."""

    def resume(self, lane: int) -> None:
        """Bring more of `lane`."""


class _Unstoppable:
    """A source that cannot wait: whatever it brings is kept until there is room for it."""

    def pause(self, lane: int) -> None:
        """Nothing to do."""

    def resume(self, lane: int) -> None:
        """Nothing to do."""


@dataclass(slots=True)
class _Entry:
    work: Work
    acknowledge: Callable[[], object]
    read_at: float
    task: asyncio.Task[None] | None = None


@dataclass(slots=True)
class _Lane:
    """The messages of one partition, oldest first; work on the first `started` has begun."""

    name: int
    entries: deque[_Entry] = field(default_factory=deque)
    started: int = 0
    paused: bool = False


class OrderedWindow:
    """Bounded concurrency with contiguous acknowledgement per partition. For one event loop.

    Of `capacity` messages that may be started and not acknowledged, each lane has an equal share.
    A lane whose first message does not end fills its own share and is paused at its source; the
    others go on. What the source had already fetched of a paused lane waits here, not started.

    Work is expected not to raise. If it does, its message is never acknowledged, nor is anything
    after it, and `wait_broken` returns: the process should end, and the messages will be delivered
    again.
    """

    def __init__(self, capacity: int, monotonic: Callable[[], float]) -> None:
        """`capacity` is at least 1; `monotonic` tells seconds. One lane until `divide` says more"""
        self.source: Source = _Unstoppable()
        self._capacity = self._share = capacity
        self._monotonic = monotonic
        self._open = True
        self._lanes: dict[int, _Lane] = {}
        self._idle = asyncio.Event()
        self._idle.set()
        self._broken = asyncio.Event()
        self._failure: BaseException | None = None

    def divide(self, lanes: int) -> None:
        """Share the capacity among so many lanes; each may start one message at least."""
        self._share = max(1, self._capacity // max(1, lanes))
        self._start_all()

    def admit(self, admitted: bool) -> None:
        """Whether further work may start. What has started goes on, and is acknowledged."""
        self._open = admitted
        self._start_all()

    def submit(self, lane: int, work: Work, acknowledge: Callable[[], object]) -> None:
        """Start `work`, at once or when the lane has room; call `acknowledge` once it and all
        earlier work of `lane` is done.

        Messages of a lane must be submitted in their order.
        """
        self._idle.clear()
        found = self._lanes.setdefault(lane, _Lane(lane))
        found.entries.append(_Entry(work, acknowledge, self._monotonic()))
        self._start(found)

    def __len__(self) -> int:
        """Messages read and not acknowledged."""
        return sum(len(lane.entries) for lane in self._lanes.values())

    async def wait_broken(self) -> BaseException | None:
        """Wait until some work has raised; what it raised."""
        await self._broken.wait()
        return self._failure

    def oldest_age_s(self) -> float:
        """How long the oldest unacknowledged message has been here, seconds; 0 if none."""
        heads = [lane.entries[0].read_at for lane in self._lanes.values() if lane.entries]
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

        For a rebalance and for the end: what is abandoned is delivered again. Lanes are not
        resumed: they may be somebody else's now.
        """
        lanes, self._lanes = self._lanes, {}
        left = sum(len(lane.entries) for lane in lanes.values())
        tasks = [each.task for lane in lanes.values() for each in lane.entries if each.task]
        for lane in lanes.values():
            lane.entries.clear()  # callbacks that still come find nothing to acknowledge
        for task in tasks:
            task.cancel()
        self._idle.set()
        await asyncio.gather(*tasks, return_exceptions=True)
        return left

    def _start_all(self) -> None:
        for lane in self._lanes.values():
            self._start(lane)

    def _start(self, lane: _Lane) -> None:
        """Start what there is room for; pause the lane while something is left, or it is full."""
        room = self._share if self._open else 0
        for entry in islice(lane.entries, lane.started, max(lane.started, room)):
            entry.task = asyncio.ensure_future(_run(entry.work))
            entry.task.add_done_callback(lambda _: self._advance(lane))
            lane.started += 1
        if len(lane.entries) >= max(room, 1):
            lane.paused = True
            # Every time: the source may have taken it up again by itself.
            self.source.pause(lane.name)
        elif lane.paused and self._open:
            lane.paused = False
            self.source.resume(lane.name)

    def _advance(self, lane: _Lane) -> None:
        """Acknowledge what is done at the head of a lane, and start what waited for it."""
        while lane.entries and (task := lane.entries[0].task) and task.done():
            if task.cancelled() or task.exception() is not None:
                self._failure = None if task.cancelled() else task.exception()
                self._broken.set()
                _LOG.error("work failed and blocks lane %s: %r", lane.name, task)
                return
            lane.entries[0].acknowledge()
            lane.entries.popleft()
            lane.started -= 1
        if self._lanes.get(lane.name) is not lane:
            return  # abandoned meanwhile
        self._start(lane)
        if not len(self):
            self._idle.set()


async def _run(work: Work) -> None:
    await work()
