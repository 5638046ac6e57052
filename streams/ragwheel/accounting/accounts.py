"""Is anything lost? produced = landed + dead-lettered + in flight (+ unaccounted), per topic.

Double entry: Kafka says what was produced and committed, the ledger in ClickHouse says what became
of which offsets (docs/decisions/0006-accounting-by-ledger.md). What was committed and is not in the
ledger is unaccounted: work that somebody declared done and that was not.

Offsets are counted as messages, so topics must not be transactional or compacted (control records
and compaction leave holes); the registry creates none that is.

Pure: `ledger` asks Kafka and ClickHouse for the facts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pydantic import computed_field

from ragwheel.schemas.topics import TopicName

OffsetRange = tuple[int, int]
"""First and last offset, both inclusive."""


@dataclass(frozen=True, slots=True)
class PartitionFacts:
    """What Kafka and the ledger know of one partition.

    Attributes:
        low, high: first offset that Kafka still has, and the one that the next message will get.
        committed: next offset that intake will read; None before its first commit.
        covered: the ledger's intervals; any order, overlaps allowed.
        dead_lettered: distinct offsets in `dead_letters`.
        ledger_is_whole: the ledger still has its first row.
    """

    low: int
    high: int
    committed: int | None
    covered: Sequence[OffsetRange] = ()
    dead_lettered: int = 0
    ledger_is_whole: bool = True


@dataclass(frozen=True, slots=True)
class TopicAccount:
    """Messages of one topic; produced = landed + dead_lettered + in_flight + uncovered.

    Attributes:
        produced: since the first accounted offset: the oldest that Kafka has or the ledger knows.
        committed: of these, what intake declared done.
        landed: rows confirmed by ClickHouse.
        dead_lettered: preserved in `dead_letters` instead.
        in_flight: not committed yet (the lag of intake).
        uncovered: committed, and in no ledger row.
        pending_jobs: only `grading`: not acknowledged by the grader yet (its lag).
        ungraded_jobs: only `grading`: acknowledged by the grader although a pair has no label of
            any status and the job is no dead letter.
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

    @computed_field
    @property
    def unaccounted(self) -> int:
        """Must be 0: messages that were declared done and were not."""
        return self.uncovered + self.ungraded_jobs


def union(intervals: Iterable[OffsetRange]) -> list[OffsetRange]:
    """The same offsets as the fewest intervals, in order: overlaps count once."""
    merged: list[OffsetRange] = []
    for first, last in sorted(intervals):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], last))
        else:
            merged.append((first, last))
    return merged


def account(
    topic: TopicName,
    partitions: Iterable[PartitionFacts],
    *,
    pending_jobs: int = 0,
    ungraded_jobs: int = 0,
) -> TopicAccount:
    """Add up the partitions of a topic."""
    produced = committed = covered = dead = in_flight = 0
    for facts in partitions:
        islands = union(facts.covered)
        base = min([facts.low, islands[0][0]]) if islands else facts.low
        if islands and not facts.ledger_is_whole:
            base = islands[0][0]
        done = max(base, facts.committed or 0)
        here = sum(max(0, min(last + 1, done) - max(first, base)) for first, last in islands)
        produced += max(facts.high, done) - base
        committed += done - base
        in_flight += max(0, facts.high - done)
        covered += here
        dead += min(facts.dead_lettered, here)
    return TopicAccount(
        topic,
        produced=produced,
        committed=committed,
        landed=covered - dead,
        dead_lettered=dead,
        in_flight=in_flight,
        uncovered=committed - covered,
        pending_jobs=pending_jobs,
        ungraded_jobs=ungraded_jobs,
    )
