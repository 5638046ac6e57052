"""Two systems over the whole corpus, and what judges said about their results. Pure.

`rank` makes ranked lists, `pool` says which pairs have to be judged, `compare` turns judgments into
metrics with intervals for the whole gate set and each segment.

A query enters the metrics when something relevant was found in its pool: recall of nothing is
undefined. This does not favour a system, because both fill the pool.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from ragwheel.measuring import rank_metrics
from ragwheel.measuring.intervals import Interval, intervals
from ragwheel.models.encoder import Vectors
from ragwheel.trainers.systems.contracts import RankedRows

System = Literal["incumbent", "candidate", "delta"]

ALL_SEGMENTS = "*"
#: Results that the metrics look at; deeper ones only serve the picture of rank shifts.
METRIC_DEPTH = 10
_QUERIES_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class Figure:
    """One metric of one system in one segment.

    Attributes:
        metric: recall, precision, mrr, ndcg, judged.
        k: cut-off.
        queries: how many queries the mean is over.
    """

    metric: str
    k: int
    segment: str
    system: System
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


@dataclass(frozen=True, slots=True)
class PerQuery:
    """What the gate decides on: one row per query that has something relevant.

    Attributes:
        rows: indices into the gate queries.
        incumbent: shape (rows, metrics), columns as in `METRICS`.
        candidate: the same for the candidate.
        judged: mean judged@10 of both systems over all gate queries, 0-1.
        without_relevant: queries left out, because nothing relevant was found for them.
    """

    rows: npt.NDArray[np.intp]
    incumbent: npt.NDArray[np.float64]
    candidate: npt.NDArray[np.float64]
    judged: float
    without_relevant: int


METRICS: tuple[tuple[str, int], ...] = (
    ("recall", 1),
    ("recall", 5),
    ("recall", 10),
    ("precision", 10),
    ("mrr", 10),
    ("ndcg", 10),
)
RECALL_AT_10 = METRICS.index(("recall", 10))


def rank(queries: Vectors, documents: Vectors, depth: int) -> RankedRows:
    """The `depth` nearest documents of each query by cosine; equal scores in corpus order."""
    depth = min(depth, len(documents))
    result = np.empty((len(queries), depth), np.int64)
    for start in range(0, len(queries), _QUERIES_AT_ONCE):
        scores = queries[start : start + _QUERIES_AT_ONCE] @ documents.T
        part = np.sort(np.argpartition(-scores, depth - 1, axis=1)[:, :depth], axis=1)
        order = np.argsort(-np.take_along_axis(scores, part, axis=1), axis=1, kind="stable")
        result[start : start + len(scores)] = np.take_along_axis(part, order, axis=1)
    return result


def ranks_of(
    queries: Vectors, documents: Vectors, pairs: Sequence[tuple[int, int]]
) -> npt.NDArray[np.int64]:
    """Rank in the whole corpus of each (query row, document row); 1 is the top, ties to the top."""
    result = np.empty(len(pairs), np.int64)
    for index, (query, document) in enumerate(pairs):
        scores = documents @ queries[query]
        result[index] = 1 + int((scores > scores[document]).sum())
    return result


def pool(incumbent: RankedRows, candidate: RankedRows, depth: int) -> list[list[int]]:
    """Per query, the corpus rows that either system shows in its first `depth`, in corpus order.

    The order tells the judge nothing about ranks or systems.
    """
    return [
        sorted({*before.tolist(), *after.tolist()})
        for before, after in zip(incumbent[:, :depth], candidate[:, :depth], strict=True)
    ]


def score(
    incumbent: RankedRows, candidate: RankedRows, grades: Sequence[Mapping[int, int]]
) -> PerQuery:
    """Metrics of both systems on every query with something relevant.

    Args:
        grades: per query, corpus row → grade; pairs without a grade are absent and count as
            unjudged (removed from the lists), never as irrelevant.
    """
    before, after = _grades_of(incumbent, grades), _grades_of(candidate, grades)
    judged = np.concatenate(
        [rank_metrics.judged_share(each, METRIC_DEPTH) for each in (before, after)]
    )
    relevant = np.array(
        [sum(grade >= rank_metrics.RELEVANT_GRADE for grade in each.values()) for each in grades],
        np.int64,
    )
    rows = np.flatnonzero(relevant > 0)
    known = _padded([list(each.values()) for each in grades])
    return PerQuery(
        rows,
        _columns(before[rows], relevant[rows], known[rows]),
        _columns(after[rows], relevant[rows], known[rows]),
        float(judged.mean()) if len(judged) else 0.0,
        len(grades) - len(rows),
    )


def figures(per_query: PerQuery, segments: Sequence[str], seed: int) -> list[Figure]:
    """Means with 95 % intervals: all queries, then every segment, for both systems and delta.

    Args:
        segments: segment of every gate query.
    """
    found: list[Figure] = []
    of_rows = np.array([segments[row] for row in per_query.rows], dtype=object)
    delta = per_query.candidate - per_query.incumbent
    for segment in (ALL_SEGMENTS, *sorted(set(of_rows.tolist()))):
        chosen = np.flatnonzero((of_rows == segment) | (segment == ALL_SEGMENTS))
        values = np.hstack(
            [per_query.incumbent[chosen], per_query.candidate[chosen], delta[chosen]]
        )
        measured = iter(intervals(values, seed))
        systems: tuple[System, ...] = ("incumbent", "candidate", "delta")
        found += [
            Figure(name, k, segment, system, next(measured), len(chosen))
            for system in systems
            for name, k in METRICS
        ]
    return found


def _columns(
    ranked: rank_metrics.Grades, relevant: npt.NDArray[np.int64], known: rank_metrics.Grades
) -> npt.NDArray[np.float64]:
    condensed = rank_metrics.condense(ranked)
    measured = {
        "recall": lambda k: rank_metrics.recall(condensed, relevant, k),
        "precision": lambda k: rank_metrics.precision(condensed, k),
        "mrr": lambda k: rank_metrics.reciprocal_rank(condensed, k),
        "ndcg": lambda k: rank_metrics.ndcg(condensed, known, k),
    }
    return np.stack([measured[name](k) for name, k in METRICS], axis=1)


def _grades_of(ranking: RankedRows, grades: Sequence[Mapping[int, int]]) -> rank_metrics.Grades:
    table = [
        [by_row.get(row, rank_metrics.UNJUDGED) for row in rows]
        for rows, by_row in zip(ranking.tolist(), grades, strict=True)
    ]
    return np.array(table, np.int8).reshape(len(grades), ranking.shape[1])


def _padded(rows: Sequence[Sequence[int]]) -> rank_metrics.Grades:
    width = max((len(row) for row in rows), default=0)
    result = np.full((len(rows), width), rank_metrics.UNJUDGED, np.int8)
    for index, row in enumerate(rows):
        result[index, : len(row)] = row
    return result
