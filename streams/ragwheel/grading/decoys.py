"""Decoys: random chunks among those that are graded, so that the grader itself is measured.

A chunk drawn at random from an index almost surely does not answer the query, so the share of
decoys that are graded relevant is the grader's rate of false alarms, per segment, always, and
without people. Nothing else may be made of their grades (docs/decisions/0024).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

from ragwheel.backends.telemetry import Telemetry
from ragwheel.grading.asking.prompt import Passage
from ragwheel.grading.result import PairResult
from ragwheel.schemas import identity, metrics
from ragwheel.schemas.events import GradeValue, GradingJob

#: From this grade on a decoy is a false alarm: where trainers call a chunk relevant.
_FLAGGED: GradeValue = 2


class DecoyStore(Protocol):
    """Where decoys come from. Methods neither raise nor wait for an unreachable store."""

    async def sample(self, index: str) -> Mapping[str, str]:
        """Some chunks of an index, hash → text; none where none are known."""

    async def graded_chunks(self, query_hash: str) -> Collection[str] | None:
        """Chunks that were graded for this query, as decoys or not counted; None if unknown."""


@dataclass(frozen=True, slots=True)
class Decoys:
    """Draws the decoys of a job, and counts what became of them.

    Attributes:
        per_call: how many are put into each call; 0 is none.
    """

    store: DecoyStore
    per_call: int
    telemetry: Telemetry

    async def draw(
        self, job: GradingJob, count: int, under_way: Callable[[str], bool]
    ) -> list[Passage]:
        """`count` random chunks of the job's index, or as many as there are.

        Never one that the job asks for, nor one that was graded for its query or is `under_way`,
        told by its hash. The order is a
        function of the job: while the sample is the same, a replay draws the same ones first.
        """
        found: list[Passage] = []
        known = await self.store.sample(job.index)
        graded = await self.store.graded_chunks(job.query_hash) if known else None
        if graded is not None:
            taken = {*graded, *(each.chunk_hash for each in job.candidates)}
            free = (each for each in known if each not in taken)
            drawn = sorted(free, key=lambda each: identity.digest("decoy", job.job_id, each))
            chosen = islice((each for each in drawn if not under_way(each)), count)
            found = [Passage(each, known[each]) for each in chosen]
        self.telemetry.inc(metrics.DECOYS_MISSING, count - len(found), segment=self._segment(job))
        return found

    def count(self, job: GradingJob, results: Iterable[PairResult]) -> None:
        """A control chart of the grader: decoys that it graded, and those among them it flagged."""
        about = {"role": job.role, "segment": self._segment(job)}
        grades = Counter(each.grade for each in results if each.grade is not None)
        flagged = sum(count for grade, count in grades.items() if grade >= _FLAGGED)
        self.telemetry.inc(metrics.DECOYS_GRADED, grades.total(), **about)
        self.telemetry.inc(metrics.DECOYS_FLAGGED, flagged, **about)

    def _segment(self, job: GradingJob) -> str:
        return self.telemetry.bounded("segment", job.segment, f"query {job.query_id}")
