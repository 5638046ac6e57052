"""Gates by simulation: what a verdict says is compared with what is true.

A query has one relevant chunk. Its rank under each system is log-normal around the query's own
ease, so recall@1, recall@10, MRR and nDCG move together as they do on real tasks: about 71 % of the
queries are answered within the first ten, and two equal systems differ on about 12 % of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from ragwheel.trainers.proof.evaluation import GateQueries, JudgedShare, Measurement

Floats = NDArray[np.float64]

_CENTRE, _EASE, _NOISE = 1.3, 1.6, 0.45


@dataclass(frozen=True)
class Gate:
    """What a simulated gate measures: ranks of the relevant chunk under both systems, and whose.

    Attributes:
        before: shape (queries,), 1 is the top.
        after: the same for the candidate.
    """

    before: Floats
    after: Floats
    segments: NDArray[np.object_]
    clusters: NDArray[np.int64]


def simulate(
    rng: np.random.Generator,
    queries: int,
    *,
    gain: float | Floats = 0.0,
    segments: NDArray[np.object_] | None = None,
    cluster_size: float = 1.0,
    candidate: np.random.Generator | None = None,
) -> Gate:
    """A gate whose candidate truly gains `gain` in recall@10 (a number, or one per query).

    Args:
        cluster_size: mean number of paraphrases of a question (geometric); 80 % of them share ease
            and fate under both systems.
        candidate: makes the candidate's errors; with `rng` in the same state the queries and the
            incumbent are the same again.
    """
    clusters = np.arange(queries)
    if cluster_size > 1:
        sizes = rng.geometric(1 / cluster_size, queries)
        clusters = np.repeat(np.arange(queries), sizes)[:queries]
    own = rng.random(queries) >= 0.8
    ease, first, second = (
        np.where(own, source.standard_normal(queries), source.standard_normal(queries)[clusters])
        for source in (rng, rng, candidate or rng)
    )
    middle = _CENTRE + _EASE * ease
    before = np.exp(np.maximum(0, middle + _NOISE * first)).round()
    after = np.exp(np.maximum(0, middle - shift(gain) + _NOISE * second)).round()
    names = np.full(queries, "all", object) if segments is None else segments
    return Gate(before, after, names, clusters)


def shift(gain: float | Floats) -> Floats:
    """How far log ranks move for a gain in recall@10."""
    spread = float(np.hypot(_EASE, _NOISE))
    limit = np.log(10.5)
    normal = NormalDist()
    now = normal.cdf((limit - _CENTRE) / spread)
    gains, position = np.unique(gain, return_inverse=True)
    moved = [_CENTRE - limit + spread * normal.inv_cdf(now + each) for each in gains.tolist()]
    return np.array(moved)[position]


def discordant(rng: np.random.Generator, queries: int, differ: int) -> Gate:
    """Two equal systems that differ on exactly `differ` queries."""
    before = np.where(rng.random(queries) < 0.6, 3.0, 50.0)
    after = before.copy()
    some = rng.choice(queries, differ, replace=False)
    won = rng.random(differ) < 0.5
    before[some], after[some] = np.where(won, 50.0, 3.0), np.where(won, 3.0, 50.0)
    return Gate(before, after, np.full(queries, "all", object), np.arange(queries))


def measured(gate: Gate, *, clustered: bool = True) -> Measurement:
    """What the gate measures when everything is judged."""
    values = {"incumbent": _metrics(gate.before), "candidate": _metrics(gate.after)}
    count = len(gate.before)
    return Measurement(
        values,
        values,
        {name: JudgedShare(1.0, 0.7, 0.7) for name in values},
        GateQueries(
            gate.segments, gate.clusters if clustered else np.arange(count), np.ones(count)
        ),
        np.zeros(count, np.bool_),
        0,
    )


def _metrics(ranks: Floats) -> Floats:
    within = ranks <= 10
    smooth = np.mean([ranks <= cut for cut in range(5, 21)], axis=0)
    columns = [
        ranks <= 1, ranks <= 5, within, within / 10, within / ranks, within / np.log2(ranks + 1),
        smooth,
    ]  # fmt: skip
    return np.stack(columns, axis=1).astype(np.float64)
