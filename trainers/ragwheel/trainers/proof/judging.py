"""Asking the judge: pooled pairs become grading jobs, and their labels come back through intake.

The trainer never calls an LLM. Prompts, retries, budget and cache exist once, in the grader
(docs/decisions/0003-the-judge-uses-the-same-road.md).
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Event
from typing import Protocol

from ragwheel.models.encoder import Progress
from ragwheel.schemas import identity
from ragwheel.schemas.errors import UnavailableError
from ragwheel.schemas.events import GradingJob, JobCandidate
from ragwheel.schemas.limits import MAX_CANDIDATES
from ragwheel.trainers.data.records import Corpus, Judgment, SampledQuery
from ragwheel.trainers.data.store import WheelStore

_LOG = logging.getLogger(__name__)

#: Stratum of judge jobs: a census of the gate set, hence inclusion probability 1.
GATE_STRATUM = "gate"
_POLL_S = 1.0


@dataclass(frozen=True, slots=True)
class Judged:
    """What came back in time.

    Attributes:
        grader_id: the one judge whose judgments these are; "" when nobody answered.
        judgments: at most one per pair.
    """

    grader_id: str
    judgments: tuple[Judgment, ...]


class Judge(Protocol):
    """Has pairs graded by a grader that makes no training labels."""

    def __call__(self, jobs: Sequence[GradingJob], progress: Progress) -> Judged:
        """Blocks until every pair has a definite status, or as long as it is allowed to.

        Args:
            progress: called with (pairs decided, pairs asked).
        """


def judge_jobs(
    model_id: str,
    queries: Sequence[SampledQuery],
    pools: Sequence[Sequence[int]],
    corpus: Corpus,
) -> list[GradingJob]:
    """Jobs for the pooled chunks of each query; a large pool becomes several jobs.

    Texts are left out: the corpus was read from the table where the grader finds them.
    """
    jobs: list[GradingJob] = []
    for query, rows in zip(queries, pools, strict=True):
        for start in range(0, len(rows), MAX_CANDIDATES):
            origin = identity.digest("gate", model_id, query.query_hash, str(start))
            jobs.append(
                GradingJob(
                    job_id=identity.job_id(origin, "judge"),
                    role="judge",
                    query_id=query.query_id,
                    query=query.query,
                    query_hash=query.query_hash,
                    segment=query.segment,
                    ts=query.ts,
                    stratum=GATE_STRATUM,
                    inclusion_probability=1.0,
                    candidates=tuple(
                        JobCandidate(chunk_hash=corpus.chunk_hashes[row])
                        for row in rows[start : start + MAX_CANDIDATES]
                    ),
                )
            )
    return jobs


@dataclass(frozen=True, slots=True)
class PublishingJudge:
    """A `Judge` that publishes jobs and polls the store until the labels have landed.

    Attributes:
        timeout_s: how long it waits for them.
        stop: ends the wait at once; what has landed by then is returned.
    """

    publish: Callable[[Sequence[GradingJob]], None]
    store: WheelStore
    timeout_s: float
    stop: Event

    def __call__(self, jobs: Sequence[GradingJob], progress: Progress) -> Judged:
        """Publish all jobs, then wait."""
        wanted = {
            (job.query_hash, candidate.chunk_hash) for job in jobs for candidate in job.candidates
        }
        query_hashes = sorted({job.query_hash for job in jobs})
        deadline = time.monotonic() + self.timeout_s
        self.publish(jobs)
        judged = Judged("", ())
        while True:
            try:
                judged = _within(wanted, self.store.judgments(query_hashes))
            except UnavailableError as error:
                # The labels are safe in Kafka; they are readable when ClickHouse is back.
                _LOG.warning("waiting for the judge: %s", error)
            progress(len(judged.judgments), len(wanted))
            if len(judged.judgments) == len(wanted):
                return judged
            if time.monotonic() >= deadline:
                _LOG.warning(
                    "the judge decided %d of %d pairs in %.0f s (RAGWHEEL_JUDGE_TIMEOUT_S); the "
                    "others stay unjudged. Is the grader running?",
                    len(judged.judgments),
                    len(wanted),
                    self.timeout_s,
                )
                return judged
            if self.stop.wait(_POLL_S):
                progress(len(judged.judgments), len(wanted))  # ends the cycle where it may
                return judged


def _within(wanted: set[tuple[str, str]], judgments: Sequence[Judgment]) -> Judged:
    """The judgments of wanted pairs by the judge that decided most of them.

    Grades of different graders have different scales; one gate is decided by one judge.
    """
    relevant = [each for each in judgments if (each.query_hash, each.chunk_hash) in wanted]
    decided = Counter(each.grader_id for each in relevant)
    grader_id = max(sorted(decided), key=decided.__getitem__, default="")
    chosen = (each for each in relevant if each.grader_id == grader_id)
    # Several rubric versions of one grader may exist; a grade is worth more than a failure.
    by_pair: dict[tuple[str, str], Judgment] = {}
    for each in sorted(chosen, key=lambda judgment: judgment.grade is not None):
        by_pair[each.query_hash, each.chunk_hash] = each
    return Judged(grader_id, tuple(by_pair.values()))
