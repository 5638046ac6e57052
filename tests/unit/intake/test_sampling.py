"""Sampling: consistent, nested, unbiased, and honest about its probability."""

from __future__ import annotations

import random
from datetime import datetime

import pytest
from tests.rigs.examples import NOW, TEXT, retrieval

from ragwheel.intake.sampling import SamplingPolicy, is_sampled, job_of, threshold
from ragwheel.schemas import identity
from ragwheel.schemas.events import Candidate
from ragwheel.schemas.settings import SamplingSettings

EVERYTHING = SamplingPolicy(rate=1.0)
IDS = [f"query-{number}" for number in range(20_000)]


def test_rate_0_keeps_nothing_and_rate_1_everything() -> None:
    assert threshold(0.0) == 2**56
    assert threshold(1.0) == 0
    assert not any(is_sampled(query_id, 0.0) for query_id in IDS[:1000])
    assert all(is_sampled(query_id, 1.0) for query_id in IDS[:1000])


def test_a_query_is_kept_exactly_when_its_randomness_reaches_the_threshold() -> None:
    randomness = identity.randomness_56("q-1")
    at = 1 - randomness / 2**56
    assert threshold(0.25) == 3 * 2**54
    assert is_sampled("q-1", at)
    assert not is_sampled("q-1", at - 1e-9)


def test_a_higher_rate_keeps_all_that_a_lower_one_kept() -> None:
    kept = [{i for i in IDS if is_sampled(i, rate)} for rate in (0.01, 0.05, 0.2, 0.7)]
    assert kept[0] < kept[1] < kept[2] < kept[3]


@pytest.mark.parametrize("rate", [0.01, 0.1, 0.5])
def test_the_share_of_sequential_ids_that_is_kept_is_binomial(rate: float) -> None:
    # Windows of 1,000 ids: with a bad hash (FNV-1a) their variance is 80 times too large.
    windows = [
        sum(is_sampled(i, rate) for i in IDS[start : start + 1000])
        for start in range(0, len(IDS), 1000)
    ]
    chi_square = sum((w - 1000 * rate) ** 2 / (1000 * rate * (1 - rate)) for w in windows)
    assert 6 < chi_square < 46  # 20 degrees of freedom, beyond 1 in 1,000 on either side


def test_a_probability_outside_0_to_1_is_refused_by_value() -> None:
    with pytest.raises(ValueError, match=r"not 1\.5"):
        threshold(1.5)


def test_the_job_carries_what_the_grader_and_every_estimate_need() -> None:
    event = retrieval()
    job = job_of(event, SamplingPolicy(rate=1.0, depth=2))
    assert job is not None
    assert job.job_id == identity.job_id(event.event_id, "label")
    assert (job.role, job.query_id, job.query) == ("label", "q-1", event.query)
    assert job.query_hash == identity.query_hash(event.query)
    assert (job.segment, job.stratum, job.inclusion_probability) == ("code", "code", 1.0)
    assert (job.index, job.ts) == ("stdlib", NOW)
    assert [(c.chunk_hash, c.text) for c in job.candidates] == [
        (identity.content_hash(TEXT), TEXT),
        ("a" * 32, None),
    ]


def test_the_segments_own_rate_replaces_the_general_one_and_is_recorded() -> None:
    policy = SamplingPolicy.of(
        SamplingSettings(sample_rate=0.0, sample_rates={"code": 0.5}, grade_depth=7)
    )
    assert policy.depth == 7
    jobs = [job_of(retrieval(query_id), policy) for query_id in IDS[:200]]
    made = [job for job in jobs if job]
    assert 70 < len(made) < 130
    assert {job.inclusion_probability for job in made} == {0.5}
    assert job_of(retrieval(segment="other"), policy) is None


def test_all_stages_of_a_query_are_sampled_together() -> None:
    policy = SamplingPolicy(rate=0.3)
    for query_id in IDS[:100]:
        made = {
            job_of(retrieval(query_id, event_id=stage, stage=stage), policy) is not None
            for stage in ("bm25", "dense", "rerank")
        }
        assert len(made) == 1


def test_the_same_event_makes_the_same_job_again() -> None:
    assert job_of(retrieval(), EVERYTHING) == job_of(retrieval(), EVERYTHING)


def test_candidates_are_taken_by_rank_whatever_their_order() -> None:
    shuffled = list(retrieval().candidates)
    random.Random(5).shuffle(shuffled)
    job = job_of(retrieval(candidates=tuple(shuffled)), SamplingPolicy(rate=1.0, depth=1))
    assert job is not None
    assert [c.text for c in job.candidates] == [TEXT]


def test_a_chunk_retrieved_under_two_ids_is_graded_once_with_its_text() -> None:
    twice = (
        Candidate(chunk_id="x", rank=1, score=1.0, content_hash=identity.content_hash(TEXT)),
        Candidate(chunk_id="y", rank=2, score=0.9, text=TEXT),
    )
    job = job_of(retrieval(candidates=twice), EVERYTHING)
    assert job is not None
    assert [(c.chunk_hash, c.text) for c in job.candidates] == [(identity.content_hash(TEXT), TEXT)]


def test_nothing_retrieved_makes_no_job() -> None:
    assert job_of(retrieval(candidates=()), EVERYTHING) is None


def test_a_graders_own_retrievals_are_never_graded() -> None:
    assert job_of(retrieval(service="ragwheel-grader-7"), EVERYTHING) is None


def test_a_slower_pace_keeps_part_of_what_a_faster_one_keeps_and_the_job_says_so() -> None:
    kept: list[set[str]] = []
    for pace in (0.25, 0.5, 1.0):
        policy = SamplingPolicy(0.8, pace=lambda _, pace=pace: pace)  # type: ignore[misc]
        jobs = [job for i in IDS[:1000] if (job := job_of(retrieval(i), policy))]
        assert {job.inclusion_probability for job in jobs} == {0.8 * pace}
        kept.append({job.query_id for job in jobs})
    assert kept[0] < kept[1] < kept[2]


def test_the_pace_is_that_of_the_time_of_the_search() -> None:
    asked: list[datetime] = []
    policy = SamplingPolicy(1.0, pace=lambda at: asked.append(at) or 1.0)  # type: ignore[func-returns-value]
    job_of(retrieval(), policy)
    assert asked == [NOW]
