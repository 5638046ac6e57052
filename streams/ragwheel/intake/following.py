"""Following a consumer through its partitions: where it began, which topic that is, what is lost.

Offsets mean nothing by themselves: a topic that was deleted and made again counts from 0, and what
expired before it was read leaves the same hole as the marker of a transaction. So a partition is
*settled* before its first message is taken: the broker is asked for the topic's incarnation, for
the group's position and for the oldest offset that it still has.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Protocol

from ragwheel.intake.offsets import Coverage, Span
from ragwheel.schemas.topics import Partition, Position, TopicName

_LOG = logging.getLogger(__name__)


class Positions(Protocol):
    """The part of `positions.Broker` that is asked; raises UnavailableError."""

    def origins(self) -> Mapping[TopicName, str]:
        """The incarnation of each topic."""

    def committed(self, group: str, partitions: Iterable[Partition]) -> Mapping[Partition, int]:
        """Next offset that the group reads, of those with a commit."""

    def ends(self, partitions: Iterable[Partition]) -> Mapping[Partition, tuple[int, int]]:
        """(oldest kept offset, offset of the next message)."""


class Following:
    """What one member of `group` reads. Not thread-safe."""

    def __init__(self, broker: Positions, group: str) -> None:
        self._broker = broker
        self._group = group
        self._coverage = Coverage()
        self._origins: Mapping[TopicName, str] = {}
        self._unsettled: dict[Partition, bool] = {}

    @property
    def unsettled(self) -> bool:
        """Whether `settle` must be called before more is read."""
        return bool(self._unsettled)

    def unsettled_places(self) -> set[Partition]:
        """Partitions that must be settled (again): nothing may be committed for them."""
        return set(self._unsettled)

    def assigned(self, places: Iterable[Partition]) -> None:
        """These partitions came."""
        self._unsettled.update(dict.fromkeys(places, False))

    def revoked(self, places: Iterable[Partition]) -> None:
        """Another member continues these."""
        for place in places:
            self._unsettled.pop(place, None)
            self._coverage.forget(place)

    def settle(self) -> dict[Partition, int]:
        """Ask the broker about the unsettled partitions; they are settled when this returns.

        Returns:
            Where to continue those of which messages were read and not taken.

        Raises:
            UnavailableError: the broker does not answer; nothing has changed.
        """
        places = list(self._unsettled)
        origins = self._broker.origins()
        committed = self._broker.committed(self._group, places)
        ends = self._broker.ends(places)
        again: dict[Partition, int] = {}
        for place in places:
            low, high = ends[place]
            begin = committed.get(place, low)
            if begin > high:  # of an incarnation that is gone
                begin = low
            if begin < low:
                _LOG.error("%s[%d]: %d messages expired before they were read", *place, low - begin)
                begin = low
            self._coverage.begin(place, begin)
            if self._unsettled.pop(place):
                again[place] = begin
        self._origins = origins
        return again

    def accept(self, messages: Iterable[Position]) -> list[str | None]:
        """The incarnation that each of these messages belongs to, None if it cannot be taken yet.

        Raises:
            UnavailableError: the broker was asked about a hole and does not answer. None of the
                messages was taken; `settle` says where to continue.
        """
        positions = list(messages)
        holes = {Partition(at.topic, at.partition) for at in positions if self._hole(at)}
        try:
            lows = {place: low for place, (low, _) in self._broker.ends(holes).items()}
        except Exception:
            self._unsettled.update((Partition(at.topic, at.partition), True) for at in positions)
            raise
        return [self._take(at, lows) for at in positions]

    def spans(self) -> list[Span]:
        """What was taken since the last call."""
        return self._coverage.finish()

    def _hole(self, at: Position) -> bool:
        place = Partition(at.topic, at.partition)
        return place not in self._unsettled and self._coverage.expects(place) != at.offset

    def _take(self, at: Position, lows: Mapping[Partition, int]) -> str | None:
        place = Partition(at.topic, at.partition)
        expected = self._coverage.expects(place)
        if place in self._unsettled or expected is None or at.offset < expected:
            # Read before it was settled, or the topic was made again behind our back.
            self._unsettled[place] = True
            return None
        low = lows.get(place, 0)
        if expected < low <= at.offset:
            _LOG.error("%s[%d]: %d messages expired unread", *place, low - expected)
            self._coverage.lost(place, low)
        self._coverage.take(place, at.offset, self._origins.get(at.topic, ""))
        return self._origins.get(at.topic, "")
