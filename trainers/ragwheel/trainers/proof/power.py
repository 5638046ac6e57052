"""What the data could prove today, before anything is trained or judged. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ragwheel.measuring.intervals import cluster_sums, effective_count
from ragwheel.measuring.proofs import cautious_low, detectable
from ragwheel.trainers.proof.evaluation import ALL_SEGMENTS, GateQueries
from ragwheel.trainers.proof.guards import PLANNING_DEVIATION, GateRules, more_queries

#: Gains in recall@10 that people ask about.
EFFECTS = (0.03, 0.05, 0.10)
_MOST = 1 << 20


@dataclass(frozen=True, slots=True)
class PartPower:
    """What can be proven of one segment, or of all queries.

    Attributes:
        part: a segment, or `ALL_SEGMENTS`.
        queries: held-out queries there are.
        clusters: how many independent questions they are worth, after paraphrases and weights.
        detectable: the smallest gain in recall@10 that a gate would prove in 8 of 10 cases, the
            minimum effect included.
        more_queries: gain → how many more queries prove it in 8 of 10 cases.
        excludable: the loss that could be excluded if nothing differed; the best case.
        missing_for_guard: how many more queries could exclude a loss of the margin.
    """

    part: str
    queries: int
    clusters: float
    detectable: float
    more_queries: Mapping[float, int]
    excludable: float
    missing_for_guard: int


def outlook(
    queries: GateQueries,
    rules: GateRules,
    *,
    alpha: float | None = None,
    deviation: float = PLANNING_DEVIATION,
    effects: Sequence[float] = EFFECTS,
) -> tuple[PartPower, ...]:
    """All queries first, then each segment by name.

    Args:
        queries: the held-out queries that a gate would look at.
        alpha: the level of the next gate (`looks.alpha_left`).
        deviation: of the paired differences; the last gate's, or the one for planning.
    """
    level = rules.alpha if alpha is None else alpha
    segments = sorted(set(queries.segments.tolist()))
    found = []
    for part in (ALL_SEGMENTS, *segments):
        rows = np.flatnonzero((queries.segments == part) | (part == ALL_SEGMENTS))
        _, sizes = cluster_sums(
            np.zeros((len(rows), 1)), queries.weights[rows], queries.clusters[rows]
        )
        clusters = effective_count(sizes)
        found.append(
            PartPower(
                part,
                len(rows),
                clusters,
                rules.min_effect + detectable(deviation, clusters, level),
                {
                    effect: more_queries(
                        deviation, effect - rules.min_effect, level, clusters, len(rows)
                    )
                    for effect in effects
                },
                -cautious_low(np.zeros(round(clusters)), rules.alpha),
                _missing(clusters, len(rows), rules),
            )
        )
    return tuple(found)


def _missing(clusters: float, queries: int, rules: GateRules) -> int:
    """Queries until agreement alone excludes the margin; per cluster as many as now."""
    needed, above = 4, _MOST
    while needed < above:
        middle = (needed + above) // 2
        if cautious_low(np.zeros(middle), rules.alpha) > -rules.segment_margin:
            above = middle
        else:
            needed = middle + 1
    per_cluster = queries / clusters if clusters else 1.0
    return max(0, int(np.ceil((needed - clusters) * per_cluster)))
