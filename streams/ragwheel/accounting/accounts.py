"""Is anything lost? Per topic: produced = landed + dead-lettered + written off + in flight
(+ unaccounted).

Double entry: Kafka says what was produced and committed, the ledger in ClickHouse says what became
of which offsets (docs/decisions/0006-accounting-by-ledger.md). What was committed and is not in the
ledger is unaccounted: work that somebody declared done and that was not.

Accounts are kept, not computed anew: each partition of each incarnation of a topic has a
`PartitionAccount` that only grows by what is new, and outlives the retention of Kafka and of the
ledger. Pure: `reader` asks Kafka and ClickHouse for the facts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pydantic import BaseModel, computed_field

from ragwheel.schemas.topics import TopicName

_MOST_GAPS = 20

Stretch = tuple[int, int]
"""Offsets from the first to before the second."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the ledger: what a batch read of one partition, and what is special in it.

    Attributes:
        dead_lettered: offsets that were preserved in `dead_letters` instead.
        absent: stretches without messages: markers of transactions, compacted keys.
        written_off: nobody read it; somebody declared it as lost.
    """

    start: int
    until: int
    dead_lettered: Sequence[int] = ()
    absent: Sequence[Stretch] = ()
    written_off: bool = False


class PartitionAccount(BaseModel):
    """What is known of one partition of one incarnation of a topic.

    Attributes:
        base: the first accounted offset.
        covered: stretches that the ledger covers, merged, in order.
        dead_lettered, absent, written_off: offsets of these kinds in `covered`.
    """

    base: int
    covered: list[Stretch] = []
    dead_lettered: int = 0
    absent: int = 0
    written_off: int = 0

    def add(self, entry: Entry) -> None:
        """Take in a row of the ledger; what earlier rows covered counts once."""
        fresh = without((max(entry.start, self.base), entry.until), self.covered)
        self.dead_lettered += sum(
            start <= offset < until for offset in entry.dead_lettered for start, until in fresh
        )
        self.absent += sum(
            max(0, min(last, until) - max(first, start))
            for first, last in entry.absent
            for start, until in fresh
        )
        if entry.written_off:
            self.written_off += sum(until - start for start, until in fresh)
        self.covered = union([*self.covered, *fresh])

    def reach(self) -> int:
        """Everything below is covered, but for gaps; ledger rows up to here need no second look."""
        return self.covered[-1][1] if self.covered else self.base

    def gaps(self, committed: int) -> list[Stretch]:
        """What was declared done and is not in the ledger."""
        return without((self.base, max(self.base, committed)), self.covered)

    def forgive(self, until: int) -> None:
        """Account from `until` on: what lies before can no longer be known."""
        if until > self.reach():
            self.covered = union([*self.covered, (self.reach(), until)])


@dataclass(frozen=True, slots=True)
class Gap:
    """Offsets `start` to before `until` of one partition of which nobody knows what they became."""

    partition: int
    start: int
    until: int


@dataclass(frozen=True, slots=True)
class TopicAccount:
    """Messages of one topic.

    produced = landed + dead_lettered + written_off + in_flight + uncovered

    Attributes:
        produced: since accounts began.
        committed: of these, what intake declared done.
        landed: rows confirmed by ClickHouse.
        dead_lettered: preserved in `dead_letters` instead.
        in_flight: not committed yet (the lag of intake).
        uncovered: committed, and in no ledger row.
        pending_jobs: only `grading`: not acknowledged by the grader yet (its lag).
        ungraded_jobs: only `grading`: acknowledged by the grader although a pair has no label of
            any status and the job is no dead letter.
        written_off: lost, and declared so.
        gaps: where what is unaccounted stood, the first twenty.
    """

    topic: TopicName
    produced: int = 0
    committed: int = 0
    landed: int = 0
    dead_lettered: int = 0
    in_flight: int = 0
    uncovered: int = 0
    pending_jobs: int = 0
    ungraded_jobs: int = 0
    written_off: int = 0
    gaps: tuple[Gap, ...] = ()

    @computed_field
    @property
    def unaccounted(self) -> int:
        """Must be 0: messages that were declared done and were not."""
        return self.uncovered + self.ungraded_jobs


def union(stretches: Iterable[Stretch]) -> list[Stretch]:
    """The same offsets as the fewest stretches, in order: overlaps count once."""
    merged: list[Stretch] = []
    for start, until in sorted(stretches):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], until))
        elif until > start:
            merged.append((start, until))
    return merged


def without(whole: Stretch, taken: Iterable[Stretch]) -> list[Stretch]:
    """The parts of `whole` that lie in none of `taken` (merged, in order)."""
    left: list[Stretch] = []
    at, end = whole
    for start, until in taken:
        if start >= end:
            break
        if start > at:
            left.append((at, start))
        at = max(at, until)
    if at < end:
        left.append((at, end))
    return left


def account(
    topic: TopicName,
    partitions: Mapping[int, tuple[PartitionAccount, int, int]],
    *,
    pending_jobs: int = 0,
    ungraded_jobs: Sequence[tuple[int, int]] = (),
) -> TopicAccount:
    """Add up a topic.

    Args:
        partitions: of each number its account, the offset that intake commits next, and the one
            that the next message will get.
        ungraded_jobs: (partition, offset) of jobs without labels.
    """
    produced = committed = covered = dead = given_up = in_flight = uncovered = 0
    gaps = [Gap(number, offset, offset + 1) for number, offset in ungraded_jobs]
    for number, (known, next_read, next_written) in sorted(partitions.items()):
        done = max(known.base, next_read)
        gaps += [Gap(number, *stretch) for stretch in known.gaps(done)]
        lost = sum(until - start for start, until in known.gaps(done))
        lag = max(0, next_written - done)
        here = done - known.base - lost - known.absent
        produced += here + lost + lag
        committed += here + lost
        covered += here
        dead += min(known.dead_lettered, here)
        given_up += min(known.written_off, here)
        in_flight += lag
        uncovered += lost
    return TopicAccount(
        topic,
        produced=produced,
        committed=committed,
        landed=covered - dead - given_up,
        dead_lettered=dead,
        written_off=given_up,
        in_flight=in_flight,
        uncovered=uncovered,
        pending_jobs=pending_jobs,
        ungraded_jobs=len(ungraded_jobs),
        gaps=tuple(gaps[:_MOST_GAPS]),
    )
