"""What became of the events that a service handed over: nothing disappears uncounted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass
from enum import IntEnum
from threading import Lock
from types import MappingProxyType

from ragwheel.schemas.topics import SERVICE_TOPICS, TopicName


class Outcome(IntEnum):
    """What happened to one event; the position of its counter."""

    QUEUED = 0
    DELIVERED = 1
    FAILED = 2
    DROPPED = 3
    INVALID = 4


@dataclass(frozen=True, slots=True)
class TopicStats:
    """Counts of one topic since this process began (a forked child starts at 0).

    Every event handed over is exactly one of `queued`, `dropped` or `invalid`; every queued event
    ends as `delivered` or `failed`.

    Attributes:
        queued: accepted into the send queue.
        delivered: confirmed by the broker.
        failed: queued, and then given up (broker unreachable for too long, or it refused).
        dropped: not queued: the queue was full, the client was closed or misconfigured.
        invalid: not queued: a bad argument, or too large an event.
    """

    queued: int = 0
    delivered: int = 0
    failed: int = 0
    dropped: int = 0
    invalid: int = 0

    @property
    def pending(self) -> int:
        """Queued events whose fate is not known yet."""
        return self.queued - self.delivered - self.failed


@dataclass(frozen=True, slots=True)
class ClientStats:
    """Counts of all topics a service writes, in the order of the registry."""

    topics: Mapping[TopicName, TopicStats]

    @property
    def total(self) -> TopicStats:
        """The sum over topics."""
        rows = map(astuple, self.topics.values())
        return TopicStats(*(sum(column) for column in zip(*rows, strict=True)))


class Counters:
    """The running counts. Thread-safe."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Start at 0 with a new lock: the old one may be held by a thread that a fork left."""
        self._lock = Lock()
        self._counts = {name: [0] * len(Outcome) for name in SERVICE_TOPICS}

    def add(self, topic: TopicName, outcome: Outcome, count: int = 1) -> None:
        """Count `count` events of `topic`."""
        with self._lock:
            self._counts[topic][outcome] += count

    def move(self, topic: TopicName, before: Outcome, after: Outcome) -> None:
        """Correct the outcome of one event that was counted too early."""
        with self._lock:
            counts = self._counts[topic]
            counts[before] -= 1
            counts[after] += 1

    def snapshot(self) -> ClientStats:
        """All counts at one moment."""
        with self._lock:
            return ClientStats(
                MappingProxyType({name: TopicStats(*c) for name, c in self._counts.items()})
            )
