"""A log of claims in memory, shared by purses as the topic is by processes."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tests.unit.grading.scripted import NOW

from ragwheel.grading.purse import Purse
from ragwheel.schemas.budget import Amount, Claims, limit_of
from ragwheel.schemas.errors import UnavailableError
from ragwheel.schemas.events import SpendingEntry


@dataclass
class SharedLog:
    """The topic: entries in one order, with the time at which they were written."""

    entries: list[tuple[SpendingEntry, datetime]] = field(default_factory=list)

    def granted(self) -> Amount:
        """What a reader who comes later finds granted on the day of NOW."""
        claims = Claims()
        for entry, at in self.entries:
            claims.apply(entry, at)
        return claims.of(NOW.date()).claimed


class MemoryClaims:
    """One process's view of the log; `down` claims are refused by the broker."""

    def __init__(self, log: SharedLog, clock: DayClock) -> None:
        self.claims = Claims()
        self.down = 0
        self._log, self._clock, self._read = log, clock, 0

    def read(self, timeout_s: float = 0.0) -> None:
        """Everything that is there."""
        for entry, at in self._log.entries[self._read :]:
            self.claims.apply(entry, at)
        self._read = len(self._log.entries)

    def decide(self, entry: SpendingEntry) -> bool:
        """Written even where the answer is lost, as a broker may."""
        self._log.entries.append((entry, self._clock.now()))
        if self.down:
            self.down -= 1
            raise UnavailableError("the broker is away")
        self.read()
        return bool(self.claims.of(entry.day).verdict(entry.entry_id))


class DayClock:
    """A wall clock that moves only where somebody sleeps."""

    def __init__(self, at: datetime = NOW) -> None:
        self.time = at

    def now(self) -> datetime:
        return self.time

    async def sleep(self, seconds: float) -> None:
        """An hour passes for every second that somebody waits."""
        self.time += timedelta(hours=seconds)
        await asyncio.sleep(0)


def purse(
    usd: float = 0.0,
    tokens: int = 0,
    *,
    log: SharedLog | None = None,
    clock: DayClock | None = None,
) -> Purse:
    """A purse of a process of its own."""
    clock = clock or DayClock()
    claims = MemoryClaims(log or SharedLog(), clock)
    return Purse(limit_of(usd, tokens), claims, now=clock.now, sleep=clock.sleep)
