"""Dev queries by simulation: an incumbent's graded lists, and a candidate that errs differently."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ragwheel.trainers.proof.equivalence import GradedList
from ragwheel.trainers.proof.evaluation import JudgedPair

SHOWN = 20


def dev_lists(
    rng: np.random.Generator,
    *,
    queries: int = 200,
    chunks: int = 500,
    correlation: float = 0.7,
    flipped: float = 0.0,
    signal: float = 3.0,
    signal_lost: float = 0.0,
) -> tuple[list[GradedList], NDArray[np.float64]]:
    """Lists of the incumbent's top `SHOWN`, and the change of hit@10 counted over the corpus.

    Args:
        correlation: of both systems' errors about a pair.
        flipped: share of the grades that are wrong.
        signal_lost: how much of the signal the candidate lacks; 0 is as good as the incumbent.
    """
    common, own, other = rng.standard_normal((3, queries, chunks))
    shared, rest = correlation**0.5, (1 - correlation) ** 0.5
    relevant = np.zeros((queries, chunks), np.bool_)
    relevant[:, 0] = True
    before = shared * common + rest * own + signal * relevant
    after = shared * common + rest * other + (signal - signal_lost) * relevant
    shown = np.argsort(-before, axis=1)[:, :SHOWN]
    true = np.take_along_axis(relevant, shown, axis=1)
    flagged = true ^ (rng.random(true.shape) < flipped)
    lists, change = [], []
    for at in np.flatnonzero(flagged.any(axis=1)):
        pairs = [JudgedPair.certain(3 if flag else 0) for flag in flagged[at]]
        rows = shown[at]
        ranks = [
            min(int((scores > scores[row]).sum()) for row in rows[flagged[at]])
            for scores in (before[at], after[at])
        ]
        hits = (ranks[0] < 10, ranks[1] < 10)
        lists.append(GradedList(pairs, before[at, rows], after[at, rows], int(at), hits=hits))
        change.append(float(hits[1]) - float(hits[0]))
    return lists, np.array(change)
