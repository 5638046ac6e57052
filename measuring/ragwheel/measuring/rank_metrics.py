"""Rank metrics, one value per query, on arrays. Pure.

Inputs are grades in rank order: row = query, column = rank - 1, value = grade 0-3 or `UNJUDGED`.
Definitions are those of trec_eval; a test compares every digit with ir-measures. Two things are
decided before calling, not here: how ties of scores are ranked, and what an unjudged result is
worth (as in trec_eval it counts as not relevant; `condense` removes it instead).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Grades = npt.NDArray[np.int8]
"""Shape (queries, depth): grade of the result at each rank, or `UNJUDGED`."""
Scores = npt.NDArray[np.float64]
"""Shape (queries,)."""

UNJUDGED = -1
#: From this grade on a chunk is relevant: it answers the query, at least in part.
RELEVANT_GRADE = 2


def condense(ranked: Grades) -> Grades:
    """Move judged results up over unjudged ones; what nobody judged is neither hit nor miss.

    Condensed lists order systems better than "unjudged = not relevant" when judgments are missing
    (T. Sakai, Alternatives to bpref, SIGIR 2007). Order among judged results is kept.
    """
    order = np.argsort(ranked == UNJUDGED, axis=1, kind="stable")
    return np.take_along_axis(ranked, order, axis=1)


def recall(ranked: Grades, relevant: npt.NDArray[np.integer], k: int) -> Scores:
    """Share of a query's relevant chunks within the first `k`; 0 for a query without any.

    Args:
        relevant: shape (queries,), number of chunks known to be relevant, ranked or not.
    """
    hits = (ranked[:, :k] >= RELEVANT_GRADE).sum(axis=1)
    return _divide(hits, relevant)


def precision(ranked: Grades, k: int) -> Scores:
    """Share of relevant chunks among the first `k`; missing results count as not relevant."""
    hits = (ranked[:, :k] >= RELEVANT_GRADE).sum(axis=1)
    return np.asarray(hits / float(k), np.float64)


def reciprocal_rank(ranked: Grades, k: int) -> Scores:
    """1 / rank of the first relevant chunk within the first `k`; 0 when there is none."""
    hit = ranked[:, :k] >= RELEVANT_GRADE
    if hit.shape[1] == 0:
        return np.zeros(len(ranked))
    return np.where(hit.any(axis=1), 1.0 / (hit.argmax(axis=1) + 1.0), 0.0)


def ndcg(ranked: Grades, judged: Grades, k: int) -> Scores:
    """Normalised discounted cumulative gain with gain 2^grade - 1 and discount log2(rank + 1).

    Args:
        judged: shape (queries, any), all grades known of a query in any order, padded with
            `UNJUDGED`: the ideal ranking is made of them.
    """
    best = -np.sort(-judged, axis=1)
    return _divide(_dcg(ranked, k), _dcg(best, k))


def judged_share(ranked: Grades, k: int) -> Scores:
    """Share of the first `k` results that have a grade (judged@k)."""
    if ranked.shape[1] == 0:
        return np.zeros(len(ranked))
    return np.asarray((ranked[:, :k] != UNJUDGED).mean(axis=1), np.float64)


def _dcg(grades: Grades, k: int) -> Scores:
    top = np.maximum(grades[:, :k], 0).astype(np.float64)
    discount = 1.0 / np.log2(np.arange(2, top.shape[1] + 2))
    return np.asarray((np.exp2(top) - 1.0) @ discount, np.float64)


def _divide(value: npt.NDArray[np.number], by: npt.NDArray[np.number]) -> Scores:
    result = np.zeros(len(value))
    np.divide(value, by, out=result, where=by > 0)
    return result
