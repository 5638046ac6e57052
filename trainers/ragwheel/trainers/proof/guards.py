"""What must not get worse, and whether a loss can be excluded. Pure.

A guard asks two things. Is a loss *proven*? Then the candidate is refused (Holm over all guards, so
that many guards refuse no oftener than one). Is a loss beyond the margin *excluded*? All guards
must say so for a promotion, hence each at the full level: an intersection-union test needs no
correction (R. L. Berger, Multiparameter hypothesis testing and acceptance sampling, Technometrics
24(4), 1982).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from ragwheel.measuring.intervals import RESAMPLES
from ragwheel.measuring.proofs import cautious_low, holm, needed_count, p_above, spread
from ragwheel.trainers.proof.evaluation import (
    ALL_SEGMENTS,
    METRICS,
    SEEN_ANSWERS,
    SMOOTH_RECALL,
    UNSEEN_ANSWERS,
    Floats,
    Measurement,
)

GuardState = Literal["held", "unproven", "lost"]
_Chosen = npt.NDArray[np.bool_]

#: Deviation of a paired difference in recall@10 where none was measured; .21-.35 were, on four
#: tasks.
PLANNING_DEVIATION = 0.3
#: What of small segments is guarded together.
OTHERS = "other segments"
_GUARDED_METRICS = (("recall", 1), ("mrr", 10), ("ndcg", 10))


@dataclass(frozen=True, slots=True)
class GateRules:
    """What counts as proof.

    Attributes:
        min_queries: fewest judged queries for a promotion.
        min_judged: least judged@10 of the candidate and of the incumbent, 0-1.
        alpha: accepted probability of promoting a model that is no better, over a series of gates
            (`looks`); of one that loses more than a margin somewhere, per guard; and, over all
            guards together, of refusing one that loses nothing.
        min_effect: a difference up to this is nobody's business: a gain must exceed it to be
            promoted, a loss to refuse.
        segment_margin: the loss in recall@10 that must be excluded in each segment.
        metric_margin: the loss that must be excluded for recall@1, MRR and nDCG over all.
        min_segment_queries: segments with fewer are guarded together, as `OTHERS`. Fewer than 30
            cannot exclude a loss of ten points even where nothing differs.
        max_latency_ms: budget of a query's latency; None: any.
        max_size_mb: budget of the model's size; None: any.
        resamples: bootstrap samples; a level below 1 / resamples cannot be reached.
    """

    min_queries: int = 200
    min_judged: float = 0.9
    alpha: float = 0.05
    min_effect: float = 0.005
    segment_margin: float = 0.10
    metric_margin: float = 0.03
    min_segment_queries: int = 20
    max_latency_ms: float | None = None
    max_size_mb: float | None = None
    resamples: int = RESAMPLES


@dataclass(frozen=True, slots=True)
class Guard:
    """Something that must not get worse.

    Attributes:
        name: a segment, `OTHERS`, `UNSEEN_ANSWERS` or a metric.
        change: mean difference to the incumbent.
        low: its lower bound; the loss that cannot be excluded.
        margin: the loss that must be excluded.
        outcome: `held`, `unproven`, `lost` (a loss above the minimum effect is proven).
        missing_queries: about how many more would exclude the margin; 0 where none are missing, or
            where its loss is too large for any number.
    """

    name: str
    change: float
    low: float
    margin: float
    queries: int
    outcome: GuardState
    missing_queries: int

    def __str__(self) -> str:
        """`tables -3.0 points (at worst -12.0, 40 queries)`."""
        return (
            f"{self.name} {100 * self.change:+.1f} points "
            f"(at worst {100 * self.low:+.1f}, {self.queries} queries)"
        )


def small_segments(measured: Measurement, rules: GateRules) -> dict[str, int]:
    """Segments of which nothing is proven by themselves, each with the queries that it has."""
    names, counts = np.unique(measured.queries.segments, return_counts=True)
    return {
        str(name): int(count)
        for name, count in zip(names, counts, strict=True)
        if count < rules.min_segment_queries
    }


def check_guards(
    measured: Measurement, shown: Floats, careful: Floats, rules: GateRules, seed: int
) -> tuple[tuple[Guard, ...], tuple[str, ...]]:
    """Every guard with its outcome, and the segments that nothing can be said of.

    Args:
        shown: shape (rows, metrics), differences to the incumbent; a loss is proven by these.
        careful: the same, with what nobody judged counted against the candidate; a loss is excluded
            by these.
    """
    asked, unguarded = _asked(measured, rules)
    losses = [_loss_p(measured, shown[:, col], rows, rules, seed) for _, rows, col, _ in asked]
    lost = holm(losses, rules.alpha)
    return tuple(
        _guard(measured, careful[:, column], rows, name, margin, bool(is_lost), rules)
        for (name, rows, column, margin), is_lost in zip(asked, lost, strict=True)
    ), unguarded


def spread_of(
    measured: Measurement, delta: Floats, rows: _Chosen | slice = slice(None)
) -> tuple[float, float, float]:
    """Mean, deviation and effective count of clusters of these rows."""
    of = measured.queries
    return spread(delta[rows], weights=of.weights[rows], clusters=of.clusters[rows])


def more_queries(
    deviation: float, distance: float, alpha: float, clusters: float, queries: int
) -> int:
    """More queries of this kind for 80 % power; 0 where no number would do, or none is missing."""
    needed = needed_count(deviation, distance, alpha)
    if math.isinf(needed) or clusters == 0:
        return 0
    return max(0, math.ceil((needed - clusters) * queries / clusters))


def _asked(
    measured: Measurement, rules: GateRules
) -> tuple[list[tuple[str, _Chosen, int, float]], tuple[str, ...]]:
    """Name, rows, metric and margin of each guard; and what is too small even together."""
    parts = measured.parts()
    whole, unseen = parts.pop(ALL_SEGMENTS), parts.pop(UNSEEN_ANSWERS, None)
    parts.pop(SEEN_ANSWERS, None)
    small = [*small_segments(measured, rules)]
    together = np.zeros(len(whole), np.bool_)
    for name in small:
        together |= parts.pop(name)
    unguarded = tuple(small)
    if together.sum() >= rules.min_segment_queries:
        parts[f"{OTHERS} ({', '.join(small)})"], unguarded = together, ()
    if unseen is not None and unseen.sum() >= rules.min_segment_queries:
        parts[UNSEEN_ANSWERS] = unseen
    asked = [(name, rows, SMOOTH_RECALL, rules.segment_margin) for name, rows in parts.items()]
    asked += [
        (f"{name}@{k}", whole, METRICS.index((name, k)), rules.metric_margin)
        for name, k in _GUARDED_METRICS
    ]
    return asked, unguarded


def _guard(
    measured: Measurement, delta: Floats, rows: _Chosen,
    name: str, margin: float, lost: bool, rules: GateRules,
) -> Guard:  # fmt: skip
    of, count = measured.queries, int(rows.sum())
    low = cautious_low(
        delta[rows], rules.alpha, weights=of.weights[rows], clusters=of.clusters[rows]
    )
    change, deviation, clusters = spread_of(measured, delta, rows)
    if lost or low > -margin:
        return Guard(name, change, low, margin, count, "lost" if lost else "held", 0)
    likely = max(deviation, PLANNING_DEVIATION)
    # If it loses nothing; where there are enough queries for that, at the change that was seen.
    more = more_queries(likely, margin, rules.alpha, clusters, count) or more_queries(
        likely, margin + change, rules.alpha, clusters, count
    )
    return Guard(name, change, low, margin, count, "unproven", more)


def _loss_p(
    measured: Measurement, delta: Floats, rows: _Chosen, rules: GateRules, seed: int
) -> float:
    """p-value of "it loses no more than the minimum effect"."""
    of = measured.queries
    loss, weights = -delta[rows], of.weights[rows]
    if float(np.average(loss, weights=weights)) <= rules.min_effect:
        return 1.0
    return p_above(
        loss, rules.min_effect, seed,
        weights=weights, clusters=of.clusters[rows], resamples=rules.resamples,
    )  # fmt: skip
