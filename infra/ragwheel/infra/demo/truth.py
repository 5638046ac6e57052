"""Recall by the truth: every held-out question, and the one function that it was written for.

The product cannot know this. The demo can, and uses it to check what the gate claims.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ragwheel.infra.demo.result import ALL_SEGMENTS, Comparison, Interval, RankShift
from ragwheel.infra.demo.search import Vectors
from ragwheel.trainers.intervals import intervals

#: The last is the mean reciprocal rank; it has no cut-off here.
_METRICS = (("recall", 1), ("recall", 5), ("recall", 10), ("mrr", 0))


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
    rows: list[Comparison] = []
    for segment in (ALL_SEGMENTS, *sorted({shift.segment for shift in shifts})):
        chosen = [shift for shift in shifts if segment in (ALL_SEGMENTS, shift.segment)]
        if not chosen:
            continue
        before = _figures([shift.before for shift in chosen])
        after = _figures([shift.after for shift in chosen])
        columns = np.concatenate([before, after, after - before], axis=1)
        found = [Interval(one.value, one.low, one.high) for one in intervals(columns, seed)]
        size = len(_METRICS)
        rows += [
            Comparison(
                metric,
                k,
                segment,
                before=found[index],
                after=found[size + index],
                delta=found[2 * size + index],
                queries=len(chosen),
            )
            for index, (metric, k) in enumerate(_METRICS)
        ]
    return tuple(rows)


def _figures(ranks: Sequence[int]) -> NDArray[np.float64]:
    """One row per question, one column per metric."""
    position = np.array(ranks, dtype=np.float64)[:, None]
    cuts = np.array([k for _, k in _METRICS if k], dtype=np.float64)
    return np.concatenate([position <= cuts, 1 / position], axis=1)
