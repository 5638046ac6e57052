"""Recall by the truth: every held-out question, and the one function that it was written for.

The product cannot know this. The demo can, and uses it to check what the gate claims.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ragwheel.infra.demo.result import ALL_SEGMENTS, Comparison, Interval, RankShift
from ragwheel.infra.demo.search import Vectors

_RESAMPLES = 2_000
_CUTS = (1, 5, 10)
_Values = NDArray[np.float64]
_Draws = NDArray[np.int64]


def ranks_of(queries: Vectors, chunks: Vectors, answers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rank of each query's answer among all chunks, 1 is the top; ties count against it.

    Args:
        queries: unit vectors, shape (questions, dimensions).
        chunks: unit vectors, shape (chunks, dimensions).
        answers: row in `chunks` of each question's answer.
    """
    scores = queries @ chunks.T
    own = scores[np.arange(len(answers)), answers]
    # The answer itself is among those that reach its score, hence the rank starts at 1.
    ranks: NDArray[np.int64] = (scores >= own[:, None]).sum(axis=1)
    return ranks


def compare(shifts: Sequence[RankShift], seed: int) -> tuple[Comparison, ...]:
    """Recall@1/5/10 and MRR before and after, for everything and per segment.

    Intervals are percentiles of a bootstrap over questions, paired for the difference.
    """
    segments = [ALL_SEGMENTS, *sorted({shift.segment for shift in shifts})]
    random = np.random.default_rng(seed)
    rows: list[Comparison] = []
    for segment in segments:
        chosen = [shift for shift in shifts if segment in (ALL_SEGMENTS, shift.segment)]
        if not chosen:
            continue
        before = np.array([shift.before for shift in chosen], dtype=np.float64)
        after = np.array([shift.after for shift in chosen], dtype=np.float64)
        # One row per resample: how often each question was drawn.
        draws = random.multinomial(len(chosen), np.full(len(chosen), 1 / len(chosen)), _RESAMPLES)
        for k in _CUTS:
            hits = ((before <= k).astype(np.float64), (after <= k).astype(np.float64))
            rows.append(_comparison("recall", k, segment, *hits, draws))
        rows.append(_comparison("mrr", 0, segment, 1 / before, 1 / after, draws))
    return tuple(rows)


def _comparison(
    metric: str, k: int, segment: str, before: _Values, after: _Values, draws: _Draws
) -> Comparison:
    return Comparison(
        metric,
        k,
        segment,
        before=_interval(before, draws),
        after=_interval(after, draws),
        delta=_interval(after - before, draws),
        queries=len(before),
    )


def _interval(values: _Values, draws: _Draws) -> Interval:
    low, high = np.quantile(draws @ values / len(values), (0.025, 0.975))
    return Interval(float(values.mean()), float(low), float(high))
