"""Arithmetic of offsets: which runs of messages a batch covers, and the names of its inserts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ragwheel.backends.positions import Place
from ragwheel.schemas.topics import TopicName


class Run(NamedTuple):
    """Offsets `first` to `last`, both inclusive, of one partition without a gap."""

    topic: TopicName
    partition: int
    first: int
    last: int


class Spot(NamedTuple):
    """Where one message stood."""

    topic: TopicName
    partition: int
    offset: int


def runs(spots: Iterable[Spot]) -> Iterator[Run]:
    """Cover `spots` (any order, repeats allowed) with the fewest gapless runs, sorted."""
    current: Run | None = None
    for topic, partition, offset in sorted(set(spots)):
        if current and current[:2] == (topic, partition) and offset == current.last + 1:
            current = current._replace(last=offset)
            continue
        if current:
            yield current
        current = Run(topic, partition, offset, offset)
    if current:
        yield current


def token(table: str, spots: Iterable[Spot]) -> str:
    """Deduplication token of the insert of these messages' rows into `table`.

    It names exactly the messages: after a restart the same batch makes the same token, and a batch
    that differs by one message (another cut, one that is valid now) makes another, so that the
    token can never swallow a row that did not land.
    """
    named = (f"{run.topic}:{run.partition}:{run.first}-{run.last}" for run in runs(spots))
    return ":".join((table, *named))


def next_offsets(spots: Iterable[Spot]) -> dict[Place, int]:
    """What to commit: the offset after the last message of each partition."""
    ends: dict[Place, int] = {}
    for topic, partition, offset in spots:
        ends[topic, partition] = max(offset + 1, ends.get((topic, partition), 0))
    return ends
