"""Arithmetic of offsets: which part of each partition a batch covers. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from ragwheel.schemas.topics import Partition, Position, TopicName


class Span(NamedTuple):
    """What was read of one partition: offsets from `start` to before `until`.

    `absent` are the stretches in it, as (first, after the last), that Kafka never handed out
    because there is no message: markers of transactions, keys that were compacted away.
    """

    topic: TopicName
    partition: int
    origin: str
    start: int
    until: int
    absent: tuple[tuple[int, int], ...] = ()


@dataclass(slots=True)
class _Reading:
    """One partition: where the open span began and where the next message is expected."""

    start: int
    next: int
    origin: str = ""
    absent: list[tuple[int, int]] = field(default_factory=list)


class Coverage:
    """Which offsets were read since when. A span begins where the one before it ended."""

    def __init__(self) -> None:
        self._readings: dict[Partition, _Reading] = {}
        self._closed: list[Span] = []

    def begin(self, place: Partition, offset: int) -> None:
        """This partition is read from `offset` on; what was read of it and not told is forgotten.

        It will be read again, or another member reads it.
        """
        self.forget(place)
        self._readings[place] = _Reading(offset, offset)

    def forget(self, place: Partition) -> None:
        """This partition is no longer read here."""
        self._readings.pop(place, None)
        self._closed = [span for span in self._closed if (span.topic, span.partition) != place]

    def expects(self, place: Partition) -> int | None:
        """The next offset, None if the partition is not read."""
        reading = self._readings.get(place)
        return reading.next if reading else None

    def take(self, place: Partition, offset: int, origin: str) -> None:
        """The message at `offset`, not below the expected one, was read."""
        reading = self._readings[place]
        if offset > reading.next:
            reading.absent.append((reading.next, offset))
        reading.next, reading.origin = offset + 1, origin

    def lost(self, place: Partition, until: int) -> None:
        """What lies before `until` can no longer be read: it stays uncovered."""
        self._close(place)
        self._readings[place] = _Reading(until, until)

    def finish(self) -> list[Span]:
        """What was read since the last call, by partition; new spans begin."""
        for place in list(self._readings):
            self._close(place)
        spans, self._closed = sorted(self._closed), []
        return spans

    def _close(self, place: Partition) -> None:
        reading = self._readings[place]
        if reading.next > reading.start:
            self._closed.append(
                Span(*place, reading.origin, reading.start, reading.next, tuple(reading.absent))
            )
        self._readings[place] = _Reading(reading.next, reading.next)


def next_offsets(positions: Iterable[Position]) -> dict[Partition, int]:
    """What to commit: the offset after the last message of each partition."""
    ends: dict[Partition, int] = {}
    for at in positions:
        place = Partition(at.topic, at.partition)
        ends[place] = max(at.offset + 1, ends.get(place, 0))
    return ends
