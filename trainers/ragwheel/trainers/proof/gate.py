"""Promotion is proof: the decision, and why, in words. Pure.

A candidate is promoted when a one-sided paired bootstrap over held-out queries puts the lower 95 %
bound of its gain in recall@10 above zero, no segment got worse (Holm over segments), and enough
queries were judged by graders that made none of the training labels. Without any real difference it
promotes in at most 5 % of gates; "the mean is higher" would promote in half of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import numpy.typing as npt

from ragwheel.measuring.intervals import RESAMPLES, resampled_means
from ragwheel.trainers.proof.evaluation import RECALL_AT_10, PerQuery

Action = Literal["promoted", "shadow", "refused"]

#: One-sided z of 5 % error plus z of 80 % power: sizes the gate that would settle an open case.
_Z_ALPHA, _Z_POWER = 1.645, 0.842


@dataclass(frozen=True, slots=True)
class GateRules:
    """What counts as proof.

    Attributes:
        min_queries: fewest judged queries for a promotion.
        min_judged: least judged@10, 0-1: the share of both systems' top results with a grade.
        alpha: accepted probability of promoting a model that is no better, and, over all segments
            together, of blocking one that is no worse.
        min_segment_queries: smaller segments cannot block; the report shows them all the same.
        resamples: bootstrap samples.
    """

    min_queries: int = 200
    min_judged: float = 0.9
    alpha: float = 0.05
    min_segment_queries: int = 10
    resamples: int = RESAMPLES


@dataclass(frozen=True, slots=True)
class Verdict:
    """The decision.

    Attributes:
        action: `promoted`; `shadow`: promising or unproven, keep measuring; `refused`.
        reason: in words, with the figures that decided.
        gain: mean difference of recall@10.
        gain_low: its one-sided lower bound.
        queries: judged queries with something relevant.
        missing_queries: how many more would probably settle it; 0 when settled.
        worse_segments: segments that are proven worse.
    """

    action: Action
    reason: str
    gain: float
    gain_low: float
    queries: int
    missing_queries: int = 0
    worse_segments: tuple[str, ...] = ()


def decide(
    per_query: PerQuery,
    segments: Sequence[str],
    rules: GateRules,
    *,
    seed: int,
    label_graders: frozenset[str] = frozenset(),
    judge_grader: str = "",
) -> Verdict:
    """Decide on the candidate.

    Args:
        segments: segment of every gate query (`per_query.rows` index into it).
        label_graders: who made the training labels.
        judge_grader: who judged the gate.
    """
    delta = (per_query.candidate - per_query.incumbent)[:, RECALL_AT_10]
    queries = len(delta)
    if queries == 0:
        return Verdict(
            "shadow", "no held-out query has a judged relevant chunk", 0, 0, 0, rules.min_queries
        )
    gain = float(delta.mean())
    low = float(np.quantile(resampled_means(delta[:, None], seed, rules.resamples), rules.alpha))
    verdict = partial(Verdict, gain=gain, gain_low=low, queries=queries)
    # Points, not percent: a difference of two recalls reads as a relative gain otherwise.
    said = (
        f"recall@10 {100 * gain:+.1f} points (lower 95% bound {100 * low:+.1f}) "
        f"on {queries} held-out queries"
    )
    if judge_grader and judge_grader in label_graders:
        return verdict(
            "refused",
            f"{judge_grader} made training labels and judged the gate: set RAGWHEEL_JUDGE_MODEL to "
            "another model than RAGWHEEL_LLM_MODEL",
        )
    worse = _worse_segments(delta, [segments[row] for row in per_query.rows], rules, seed)
    if worse:
        return verdict("refused", f"{said}; worse in {', '.join(worse)}", worse_segments=worse)
    if gain <= 0:
        return verdict("refused", f"{said}: no gain over the model in service")
    if per_query.judged < rules.min_judged:
        return verdict(
            "shadow",
            f"{said}, but only {per_query.judged:.0%} of the top 10 were judged; "
            f"{rules.min_judged:.0%} are needed: is the judge running?",
        )
    if queries < rules.min_queries:
        missing = rules.min_queries - queries
        return verdict(
            "shadow",
            f"{said}; {missing} more judged queries are needed before anything is promoted",
            missing_queries=missing,
        )
    if low <= 0:
        missing = max(1, _queries_for(gain, float(delta.std())) - queries)
        return verdict(
            "shadow",
            f"{said}: not proven; about {missing} more queries would prove a gain of this size",
            missing_queries=missing,
        )
    return verdict("promoted", f"{said}; no segment worse")


def _queries_for(gain: float, deviation: float) -> int:
    """Queries for 80 % power at this gain and spread of paired differences."""
    return math.ceil(((_Z_ALPHA + _Z_POWER) * deviation / gain) ** 2)


def _worse_segments(
    delta: npt.NDArray[np.float64], segments: Sequence[str], rules: GateRules, seed: int
) -> tuple[str, ...]:
    """Segments whose loss is proven at `alpha` over all of them together (Holm's step-down)."""
    names = np.array(segments, dtype=object)
    p_values: list[tuple[float, str]] = []
    for name in sorted(set(segments)):
        values = delta[names == name]
        if len(values) >= rules.min_segment_queries:
            means = resampled_means(values[:, None], seed, rules.resamples)
            # Probability of no loss, with the observed sample as one resample: never exactly 0.
            p_values.append((float(((means >= 0).sum() + 1) / (len(means) + 1)), name))
    worse: list[str] = []
    for index, (p_value, name) in enumerate(sorted(p_values)):
        if p_value > rules.alpha / (len(p_values) - index):
            break
        worse.append(name)
    return tuple(worse)
