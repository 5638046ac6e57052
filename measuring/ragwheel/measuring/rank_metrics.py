"""Rank metrics, one value per query, on arrays. Pure.

Inputs are in rank order: row = query, column = rank - 1. A result's relevance is a *belief*, the
probability that it is truly relevant, or `UNJUDGED`; with beliefs of 0 and 1 every metric is that
of trec_eval, and a test compares every digit with ir-measures. With others it is the expected
metric under independent errors of the grader. Two things are decided before calling, not here: how
ties of scores are ranked, and what an unjudged result is worth (as in trec_eval it counts as not
relevant; who takes it out first, by `unjudged_last`, measures condensed lists).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Relevance = npt.NDArray[np.float64]
"""Shape (queries, depth): belief, or gain, of the result at each rank, or `UNJUDGED`."""
Scores = npt.NDArray[np.float64]
"""Shape (queries,)."""

UNJUDGED = -1.0
#: From this grade on a chunk is relevant: it answers the query, at least in part.
RELEVANT_GRADE = 2
#: Around 10; the deepest is what judges usually see.
SMOOTH_CUTS = range(5, 21)


def gains(grades: npt.ArrayLike, beliefs: npt.ArrayLike) -> Relevance:
    """Expected gain of a graded pair: 2^grade - 1 where the grade says the truth.

    A grade of relevance that is doubted is worth so much less; one of irrelevance that is doubted
    (a relevant chunk that the grader missed) moves toward the gain of a partial answer.
    """
    grade, belief = np.asarray(grades, np.float64), np.asarray(beliefs, np.float64)
    said = np.exp2(grade) - 1.0
    missed = said + belief * (2.0**RELEVANT_GRADE - 1.0 - said)
    return np.asarray(np.where(grade >= RELEVANT_GRADE, belief * said, missed), np.float64)


def unjudged_last(ranked: Relevance) -> npt.NDArray[np.intp]:
    """Columns of each row that put judged results first, their order kept.

    Condensed lists order systems better than "unjudged = not relevant" when judgments are missing
    at random (T. Sakai, Alternatives to bpref, SIGIR 2007). They favour the system whose results
    lack judgments: what comes next moves up.
    """
    return np.argsort(ranked == UNJUDGED, axis=1, kind="stable")


def recall(ranked: Relevance, relevant: npt.NDArray[np.float64], k: int) -> Scores:
    """Expected hits within the first `k` over expected relevant ones; 0 where nothing is.

    Args:
        relevant: shape (queries,), sum of the beliefs in all known chunks, ranked or not.
    """
    return _divide(_counted(ranked, k).sum(axis=1), relevant)


def smooth_recall(ranked: Relevance, relevant: npt.NDArray[np.float64]) -> Scores:
    """Mean of recall over the cut-offs `SMOOTH_CUTS`.

    A chunk that moves from rank 9 to 12 is lost to recall@10 and loses 4 / 16 here; one that
    appears or vanishes counts the same in both. Paired differences vary by a third less.
    """
    total = sum((recall(ranked, relevant, cut) for cut in SMOOTH_CUTS), np.zeros(len(ranked)))
    return np.asarray(total / len(SMOOTH_CUTS), np.float64)


def precision(ranked: Relevance, k: int) -> Scores:
    """Expected share of relevant chunks among the first `k`; missing results are not relevant."""
    return np.asarray(_counted(ranked, k).sum(axis=1) / float(k), np.float64)


def reciprocal_rank(ranked: Relevance, k: int) -> Scores:
    """Expected 1 / rank of the first relevant chunk within the first `k`; 0 when there is none.

    That rank r is the first: its belief times the doubts in all ranks above.
    """
    beliefs = _counted(ranked, k)
    doubts = np.cumprod(1.0 - beliefs, axis=1)
    before = np.hstack([np.ones((len(beliefs), 1)), doubts])[:, : beliefs.shape[1]]
    return np.asarray((before * beliefs) @ (1.0 / np.arange(1, beliefs.shape[1] + 1)), np.float64)


def ndcg(ranked: Relevance, judged: Relevance, k: int) -> Scores:
    """Normalised discounted cumulative gain with discount log2(rank + 1).

    Args:
        ranked: the gains in rank order.
        judged: shape (queries, any), all gains known of a query in any order, padded with
            `UNJUDGED`: the ideal ranking is made of them.
    """
    best = -np.sort(-judged, axis=1)
    return _divide(_dcg(ranked, k), _dcg(best, k))


def judged_share(ranked: Relevance, k: int) -> Scores:
    """Share of the first `k` results that were judged (judged@k)."""
    if ranked.shape[1] == 0:
        return np.zeros(len(ranked))
    return np.asarray((ranked[:, :k] != UNJUDGED).mean(axis=1), np.float64)


def _counted(ranked: Relevance, k: int) -> Relevance:
    return np.maximum(ranked[:, :k], 0.0)


def _dcg(of_ranks: Relevance, k: int) -> Scores:
    top = _counted(of_ranks, k)
    return np.asarray(top @ (1.0 / np.log2(np.arange(2, top.shape[1] + 2))), np.float64)


def _divide(value: npt.NDArray[np.number], by: npt.NDArray[np.number]) -> Scores:
    result = np.zeros(len(value))
    np.divide(value, by, out=result, where=by > 0)
    return result
