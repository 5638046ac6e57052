"""Which retrievals are graded: OpenTelemetry's consistent-probability rule on the query id.

A query has 56 random bits R that belong to its id (`identity.randomness_56`). At rate p it is kept
when R >= T, T = (1 - p) * 2^56 (specification/trace/tracestate-probability-sampling.md of
OpenTelemetry). So the decision needs no coordination and no state, is the same on replay and in
every process, covers all stages of one query together, and is nested: what a rate keeps, every
higher rate keeps too.

Pure: no I/O, no clock, no random source.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from ragwheel.schemas import identity
from ragwheel.schemas.events import Candidate, GradingJob, JobCandidate, RetrievalEvent
from ragwheel.schemas.settings import SamplingSettings

_SPACE = 1 << identity.RANDOMNESS_BITS


@dataclass(frozen=True, slots=True)
class SamplingPolicy:
    """Which share of which traffic is graded, and how deep.

    Attributes:
        rate: share of queries of segments without a rate of their own, in [0, 1].
        segment_rates: share by segment, in [0, 1].
        depth: candidates graded per retrieval, from the top.
        pace: what the rates are multiplied with at the time of a search, in (0, 1], so that the
            day's money lasts.
    """

    rate: float
    segment_rates: Mapping[str, float] = field(default_factory=dict)
    depth: int = 20
    pace: Callable[[datetime], float] = lambda _: 1.0

    @classmethod
    def of(
        cls, settings: SamplingSettings, pace: Callable[[datetime], float] = lambda _: 1.0
    ) -> SamplingPolicy:
        """The policy that the settings describe, at that pace."""
        return cls(settings.sample_rate, dict(settings.sample_rates), settings.grade_depth, pace)

    def probability(self, segment: str, at: datetime) -> float:
        """Inclusion probability of a query of this segment that was asked at that time."""
        return self.segment_rates.get(segment, self.rate) * self.pace(at)


def threshold(probability: float) -> int:
    """The least randomness that is kept: 0 at probability 1, above every randomness at 0.

    Raises:
        ValueError: not a probability.
    """
    if not 0 <= probability <= 1:
        raise ValueError(f"sampling probability must be in [0, 1], not {probability}")
    return round((1 - probability) * _SPACE)


def is_sampled(query_id: str, probability: float) -> bool:
    """Whether this query is in the sample at this rate; about a microsecond."""
    return identity.randomness_56(query_id) >= threshold(probability)


def job_of(retrieval: RetrievalEvent, policy: SamplingPolicy) -> GradingJob | None:
    """The grading job of a retrieval, or None when it is not sampled.

    Equal retrievals make equal jobs at one pace, `job_id` included, so a replay adds none. The job
    carries the probability and stratum (now: the segment) that every estimate from its labels
    needs. Chunks appear once each, best rank first; their text travels along when the event had it.
    """
    probability = policy.probability(retrieval.segment, retrieval.ts)
    if not retrieval.candidates or retrieval.service.startswith(identity.GRADER_SERVICE):
        return None
    if not is_sampled(retrieval.query_id, probability):
        return None
    return GradingJob(
        job_id=identity.job_id(retrieval.event_id, "label"),
        role="label",
        query_id=retrieval.query_id,
        query=retrieval.query,
        query_hash=identity.query_hash(retrieval.query),
        segment=retrieval.segment,
        index=retrieval.index,
        ts=retrieval.ts,
        stratum=retrieval.segment,
        inclusion_probability=probability,
        candidates=_top(retrieval.candidates, policy.depth),
    )


def _top(candidates: tuple[Candidate, ...], depth: int) -> tuple[JobCandidate, ...]:
    """The top `depth` candidates; a text that was retrieved under two ids is graded once."""
    chunks: dict[str, JobCandidate] = {}
    for candidate in sorted(candidates, key=lambda candidate: candidate.rank)[:depth]:
        known = chunks.get(candidate.content_hash)
        if known is None or known.text is None:
            chunks[candidate.content_hash] = JobCandidate(
                chunk_hash=candidate.content_hash, text=candidate.text
            )
    return tuple(chunks.values())
