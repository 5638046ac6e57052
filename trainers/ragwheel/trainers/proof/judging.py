"""Asking the judge: pooled pairs become grading jobs, and their labels come back through intake.

The trainer never calls an LLM. Prompts, retries, budget and cache exist once, in the grader
(docs/decisions/0003-the-judge-uses-the-same-road.md).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Literal, Protocol

from ragwheel.models.encoder import Progress
from ragwheel.schemas import identity
from ragwheel.schemas.errors import UnavailableError
from ragwheel.schemas.events import GradingJob, JobCandidate
from ragwheel.schemas.limits import MAX_CANDIDATES
from ragwheel.trainers.data.records import Corpus, Judgment, SampledQuery
from ragwheel.trainers.data.store import WheelStore

_LOG = logging.getLogger(__name__)

#: Strata of the trainer's jobs: a census of the gate set, hence inclusion probability 1, and pairs
#: that are chosen for their doubt, which no estimate uses.
GATE_STRATUM, SECOND_STRATUM = "gate", "second-look"
_STRATA = {"judge": GATE_STRATUM, "second": SECOND_STRATUM}
#: Between two looks: the first, and how it grows, for a judge that takes minutes.
_POLL_S, _SLOWER, _LONGEST_POLL_S = 1.0, 1.3, 15.0
#: By so much the grader's clock may be behind ours.
_CLOCK_SKEW = timedelta(minutes=1)


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
    """Jobs for the pooled chunks of each query; a large pool becomes several jobs."""
    return [
        job
        for query, rows in zip(queries, pools, strict=True)
        for job in _jobs(
            query, [corpus.chunk_hashes[row] for row in rows], corpus, "judge", ("gate", model_id)
        )
    ]


def second_jobs(
    snapshot_id: str,
    pairs: Sequence[tuple[str, str]],
    queries: Iterable[SampledQuery],
    corpus: Corpus,
) -> list[GradingJob]:
    """Jobs that have pairs of (query hash, chunk hash) graded once more by the labeling grader."""
    by_hash = {each.query_hash: each for each in queries}
    chunks: dict[str, list[str]] = {}
    for query_hash, chunk_hash in pairs:
        chunks.setdefault(query_hash, []).append(chunk_hash)
    return [
        job
        for query_hash, of_query in sorted(chunks.items())
        for job in _jobs(
            by_hash[query_hash], sorted(of_query), corpus, "second", ("second", snapshot_id)
        )
    ]


def _jobs(
    query: SampledQuery,
    chunk_hashes: Sequence[str],
    corpus: Corpus,
    role: Literal["judge", "second"],
    origin: tuple[str, str],
) -> Iterator[GradingJob]:
    """Jobs of one query. Texts are left out: the grader finds them where the corpus was read."""
    for start in range(0, len(chunk_hashes), MAX_CANDIDATES):
        yield GradingJob(
            job_id=identity.job_id(identity.digest(*origin, query.query_hash, str(start)), role),
            role=role,
            query_id=query.query_id,
            query=query.query,
            query_hash=query.query_hash,
            segment=query.segment,
            index=corpus.slice_of(query.segment).name,
            ts=query.ts,
            stratum=_STRATA[role],
            inclusion_probability=1.0,
            candidates=tuple(
                JobCandidate(chunk_hash=each)
                for each in chunk_hashes[start : start + MAX_CANDIDATES]
            ),
        )


@dataclass(frozen=True, slots=True)
class PublishingJudge:
    """A `Judge` that publishes jobs and polls the store until the labels have landed.

    Attributes:
        timeout_s: how long it waits for them.
        stop: ends the wait at once; what has landed by then is returned.
        now: UTC time, as the grader's clock shows it within a minute.
    """

    publish: Callable[[Sequence[GradingJob]], None]
    store: WheelStore
    timeout_s: float
    stop: Event
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def __call__(self, jobs: Sequence[GradingJob], progress: Progress) -> Judged:
        """Publish all jobs, then wait."""
        wanted = {
            (job.query_hash, candidate.chunk_hash) for job in jobs for candidate in job.candidates
        }
        query_hashes = sorted({job.query_hash for job in jobs})
        began, deadline = self.now(), time.monotonic() + self.timeout_s
        self.publish(jobs)
        judged, found, pause = Judged("", ()), dict[str, list[Judgment]](), _POLL_S
        while True:
            try:
                # Only queries with an open pair are read again, and all of them before the end:
                # a changed rubric opens what was decided.
                open_now = _open(wanted, judged) or query_hashes
                for query_hash in open_now:
                    found[query_hash] = []
                for each in self.store.judgments(open_now):
                    found[each.query_hash].append(each)
                judged = _within(wanted, [each for rows in found.values() for each in rows], began)
                if len(judged.judgments) == len(wanted) and len(open_now) < len(query_hashes):
                    continue
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
            if self.stop.wait(min(pause, max(0.0, deadline - time.monotonic()))):
                progress(len(judged.judgments), len(wanted))  # ends the cycle where it may
                return judged
            pause = min(_LONGEST_POLL_S, pause * _SLOWER)


def _open(wanted: set[tuple[str, str]], judged: Judged) -> list[str]:
    """Queries with a pair that is not decided."""
    decided = {(each.query_hash, each.chunk_hash) for each in judged.judgments}
    return sorted({query_hash for query_hash, _ in wanted - decided})


def _within(wanted: set[tuple[str, str]], judgments: Sequence[Judgment], began: datetime) -> Judged:
    """The judgments of wanted pairs of one epoch: one judge, one rubric, the newest.

    Grades of different graders, or by different rubrics, have different scales; one gate is decided
    on one. A failure decides a pair only if it is of this gate: yesterday's budget is spent, and
    today the pair is asked again.
    """
    since = began - _CLOCK_SKEW
    of_epoch: dict[tuple[str, str], list[Judgment]] = {}
    for each in judgments:
        fresh = each.grade is not None or each.graded_at >= since
        if fresh and (each.query_hash, each.chunk_hash) in wanted:
            of_epoch.setdefault((each.grader_id, each.rubric_version), []).append(each)
    if not of_epoch:
        return Judged("", ())
    newest = max(
        sorted(of_epoch),
        key=lambda epoch: (max(each.graded_at for each in of_epoch[epoch]), len(of_epoch[epoch])),
    )
    by_pair: dict[tuple[str, str], Judgment] = {}
    # A grade is worth more than a failure, a later row more than an earlier one.
    for each in sorted(of_epoch[newest], key=lambda row: (row.grade is not None, row.graded_at)):
        by_pair[each.query_hash, each.chunk_hash] = each
    return Judged(newest[0], tuple(by_pair.values()))
