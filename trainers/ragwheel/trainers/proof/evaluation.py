"""Any number of systems on the same gate queries, and what judges said about their results. Pure.

`pool` says which pairs have to be judged, `score` turns judgments into metrics per query, `figures`
into means with intervals: the leaderboard.

A query counts as much as it stands for in the traffic (1 / inclusion probability), times the belief
that its pool holds anything relevant: recall of nothing is undefined. This favours no system,
because all of them fill the pool. Recall is *pooled*: relative to what the systems of this gate
found together, so figures of different gates do not compare, differences within one do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ragwheel.measuring import rank_metrics
from ragwheel.measuring.intervals import Interval, intervals
from ragwheel.measuring.nearest import NO_RESULT, RankedRows

Floats = npt.NDArray[np.float64]

ALL_SEGMENTS = "*"
#: Queries whose relevant chunks were training positives of other queries, and all the others: what
#: was learnt by heart, and what was understood.
SEEN_ANSWERS, UNSEEN_ANSWERS = "*seen answers", "*unseen answers"
#: The difference of the candidate and of any other system to the incumbent, as a system.
DELTA = "delta"
#: Results that the metrics look at; deeper ones only serve the picture of rank shifts.
METRIC_DEPTH = 10
METRICS: tuple[tuple[str, int], ...] = (
    ("recall", 1),
    ("recall", 5),
    ("recall", 10),
    ("precision", 10),
    ("mrr", 10),
    ("ndcg", 10),
    ("smooth_recall", 10),
)
RECALL_AT_10 = METRICS.index(("recall", 10))
#: What segments are guarded by, since it needs fewer queries to exclude the same loss.
SMOOTH_RECALL = METRICS.index(("smooth_recall", 10))


class JudgedPair(NamedTuple):
    """What is known of a query and a chunk.

    Attributes:
        grade: 0-3, as the judge said.
        belief: probability that the chunk is truly relevant, 0-1.
    """

    grade: int
    belief: float

    @classmethod
    def certain(cls, grade: int) -> JudgedPair:
        """A grade that is taken at its word."""
        return cls(grade, float(grade >= rank_metrics.RELEVANT_GRADE))


@dataclass(frozen=True, slots=True)
class GateQueries:
    """The held-out queries, one row each.

    Attributes:
        segments: shape (queries,), names.
        clusters: shape (queries,), equal numbers for near-duplicates.
        weights: shape (queries,), what each stands for (`hajek_weights`).
    """

    segments: npt.NDArray[np.object_]
    clusters: npt.NDArray[np.int64]
    weights: Floats

    @classmethod
    def of(
        cls,
        segments: Sequence[str],
        clusters: Sequence[int] | npt.NDArray[np.int64] | None = None,
        weights: Floats | None = None,
    ) -> GateQueries:
        """Queries of these segments; their own clusters and of equal weight where not said."""
        count = len(segments)
        return cls(
            np.array(segments, object),
            np.arange(count) if clusters is None else np.asarray(clusters, np.int64),
            np.ones(count) if weights is None else weights,
        )


@dataclass(frozen=True, slots=True)
class JudgedShare:
    """How much of a system's first ten results was judged, and what the rest could change.

    Attributes:
        judged: judged@10 over all gate queries, 0-1.
        low: pooled recall@10 if nothing unjudged is relevant.
        high: the same if everything unjudged is.
    """

    judged: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Measurement:
    """What a gate decides on: one row per query that may have something relevant.

    Attributes:
        values: system → shape (rows, metrics), columns as in `METRICS`; unjudged results are taken
            out of the lists.
        floors: the same with unjudged results left in their place, as not relevant.
        coverage: per system.
        queries: what the rows are; the weights include the belief that something is relevant.
        seen: shape (rows,), whether a relevant chunk was a training positive of another query.
        without_relevant: queries left out, because nothing relevant was found for them.
    """

    values: Mapping[str, Floats]
    floors: Mapping[str, Floats]
    coverage: Mapping[str, JudgedShare]
    queries: GateQueries
    seen: npt.NDArray[np.bool_]
    without_relevant: int

    def parts(self) -> dict[str, npt.NDArray[np.bool_]]:
        """Rows of each part that is looked at by itself: all, seen, unseen, then the segments."""
        segments = self.queries.segments
        found = {ALL_SEGMENTS: np.ones(len(segments), np.bool_)}
        if self.seen.any():
            found |= {SEEN_ANSWERS: self.seen, UNSEEN_ANSWERS: ~self.seen}
        found |= {name: segments == name for name in sorted(set(segments.tolist()))}
        return found


@dataclass(frozen=True, slots=True)
class Figure:
    """One metric of one system in one segment.

    Attributes:
        metric: recall (pooled), precision, mrr, ndcg.
        k: cut-off.
        segment: or `ALL_SEGMENTS`, `SEEN_ANSWERS`, `UNSEEN_ANSWERS`.
        system: its name; `delta` and `delta:NAME` are paired differences to the incumbent.
        queries: how many queries the mean is over.
    """

    metric: str
    k: int
    segment: str
    system: str
    interval: Interval
    queries: int


@dataclass(frozen=True, slots=True)
class RankShift:
    """Where a relevant chunk stood in the whole corpus, and stands now. 1 is the top."""

    query: str
    query_hash: str
    chunk_hash: str
    segment: str
    before: int
    after: int


def pool(rankings: Sequence[RankedRows], depth: int) -> list[list[int]]:
    """Per query, the corpus rows that any system shows in its first `depth`, in corpus order.

    The order tells the judge nothing about ranks or systems.
    """
    return [
        sorted(set().union(*(rows[:depth].tolist() for rows in of_query)) - {NO_RESULT})
        for of_query in zip(*rankings, strict=True)
    ]


def score(
    rankings: Mapping[str, RankedRows],
    judged: Sequence[Mapping[int, JudgedPair]],
    queries: GateQueries,
    trained: Set[int] = frozenset(),
) -> Measurement:
    """Metrics of every system on every query that may have something relevant.

    Args:
        rankings: system → ranked corpus rows; `NO_RESULT` fills short lists.
        judged: per query, corpus row → what is known; a pair that is absent is unjudged, never
            irrelevant.
        trained: corpus rows that were positives in training.
    """
    known, ideal = _known(judged)
    relevant = np.maximum(known, 0).sum(axis=1)
    rows = np.flatnonzero(relevant > 0)
    values, floors, coverage = {}, {}, {}
    weights = (queries.weights * (1 - np.prod(1 - np.maximum(known, 0), axis=1)))[rows]
    for name, ranked in rankings.items():
        beliefs, gains = _looked_up(ranked, judged)
        share = rank_metrics.judged_share(beliefs, METRIC_DEPTH)
        condensed = rank_metrics.unjudged_last(beliefs)
        both = [np.take_along_axis(each, condensed, axis=1) for each in (beliefs, gains)]
        values[name] = _columns(both[0], both[1], relevant, ideal)[rows]
        floors[name] = _columns(beliefs, gains, relevant, ideal)[rows]
        hits, holes = (
            (np.maximum(beliefs, 0)[:, :METRIC_DEPTH].sum(axis=1))[rows],
            ((beliefs == rank_metrics.UNJUDGED)[:, :METRIC_DEPTH].sum(axis=1))[rows],
        )
        coverage[name] = JudgedShare(
            _mean(share, queries.weights),
            _mean(hits / relevant[rows], weights),
            _mean((hits + holes) / (relevant[rows] + holes), weights),
        )
    of_rows = GateQueries(queries.segments[rows], queries.clusters[rows], weights)
    seen = np.array(
        [
            any(row in trained and pair.belief >= 0.5 for row, pair in judged[query].items())
            for query in rows.tolist()
        ],
        np.bool_,
    )
    return Measurement(values, floors, coverage, of_rows, seen, len(judged) - len(rows))


def figures(measured: Measurement, incumbent: str, candidate: str, seed: int) -> list[Figure]:
    """The leaderboard: means with 95 % intervals per part, system and metric, and differences.

    Args:
        incumbent: the system that the differences are to; `delta` is the candidate's, `delta:NAME`
            that of any other.
    """
    base = measured.values[incumbent]
    columns = dict(measured.values)
    for name, values in measured.values.items():
        if name != incumbent:
            columns[DELTA if name == candidate else f"{DELTA}:{name}"] = values - base
    table = np.hstack(list(columns.values()))
    of = measured.queries
    found: list[Figure] = []
    for part, chosen in measured.parts().items():
        measures = iter(
            intervals(table[chosen], seed, weights=of.weights[chosen], clusters=of.clusters[chosen])
        )
        found += [
            Figure(name, k, part, system, next(measures), int(chosen.sum()))
            for system in columns
            for name, k in METRICS
        ]
    return found


def _known(
    judged: Sequence[Mapping[int, JudgedPair]],
) -> tuple[rank_metrics.Relevance, rank_metrics.Relevance]:
    """Beliefs and gains of all pairs of each query, padded."""
    table = np.zeros((len(judged), max((len(of) for of in judged), default=0), 2))
    table[:, :, 1] = rank_metrics.UNJUDGED
    for row, of in enumerate(judged):
        if of:
            table[row, : len(of)] = list(of.values())
    return table[:, :, 1], _gains(table)


def _looked_up(
    ranked: RankedRows, judged: Sequence[Mapping[int, JudgedPair]]
) -> tuple[rank_metrics.Relevance, rank_metrics.Relevance]:
    """Belief and gain of the result at each rank; a missing result is judged: not relevant."""
    nothing, unknown = JudgedPair(0, 0.0), JudgedPair(0, rank_metrics.UNJUDGED)
    table = np.array(
        [
            [nothing if row == NO_RESULT else of.get(row, unknown) for row in rows]
            for rows, of in zip(ranked.tolist(), judged, strict=True)
        ],
        np.float64,
    ).reshape(len(judged), ranked.shape[1], 2)
    return table[:, :, 1], _gains(table)


def _gains(table: Floats) -> rank_metrics.Relevance:
    """Gains of (grade, belief) along the last axis."""
    grades, beliefs = table[..., 0], table[..., 1]
    unknown = beliefs == rank_metrics.UNJUDGED
    return np.where(unknown, rank_metrics.UNJUDGED, rank_metrics.gains(grades, beliefs))


def _columns(
    beliefs: rank_metrics.Relevance,
    gains: rank_metrics.Relevance,
    relevant: Floats,
    ideal: rank_metrics.Relevance,
) -> Floats:
    measure: Mapping[str, Callable[[int], Floats]] = {
        "recall": lambda k: rank_metrics.recall(beliefs, relevant, k),
        "precision": lambda k: rank_metrics.precision(beliefs, k),
        "mrr": lambda k: rank_metrics.reciprocal_rank(beliefs, k),
        "ndcg": lambda k: rank_metrics.ndcg(gains, ideal, k),
        "smooth_recall": lambda _: rank_metrics.smooth_recall(beliefs, relevant),
    }
    return np.stack([measure[name](k) for name, k in METRICS], axis=1)


def _mean(values: Floats, weights: Floats) -> float:
    return float(np.average(values, weights=weights)) if len(values) else 0.0
