"""Arithmetic of offsets: which runs of messages a batch covers, and the names of its inserts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ragwheel.schemas.topics import Partition, Position, TopicName


class Run(NamedTuple):
    """Offsets `first` to `last`, both inclusive, of one partition without a gap."""

    topic: TopicName
    partition: int
    first: int
    last: int


def runs(positions: Iterable[Position]) -> Iterator[Run]:
    """Cover `positions` (any order, repeats allowed) with the fewest gapless runs, sorted."""
    current: Run | None = None
    for topic, partition, offset in sorted(set(positions)):
        if current and current[:2] == (topic, partition) and offset == current.last + 1:
            current = current._replace(last=offset)
            continue
        if current:
            yield current
        current = Run(topic, partition, offset, offset)
    if current:
        yield current


def token(table: str, positions: Iterable[Position]) -> str:
    """Deduplication token of the insert of these messages' rows into `table`.

    It names exactly the messages: after a restart the same batch makes the same token, and a batch
    that differs by one message (another cut, one that is valid now) makes another, so that the
    token can never swallow a row that did not land.
    """
    named = (f"{run.topic}:{run.partition}:{run.first}-{run.last}" for run in runs(positions))
    return ":".join((table, *named))


def next_offsets(positions: Iterable[Position]) -> dict[Partition, int]:
    """What to commit: the offset after the last message of each partition."""
    ends: dict[Partition, int] = {}
    for topic, partition, offset in positions:
        place = Partition(topic, partition)
        ends[place] = max(offset + 1, ends.get(place, 0))
    return ends
