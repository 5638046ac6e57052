"""Recall by the truth: every held-out question, and the one function that it was written for.

The product cannot know this. The demo can, and uses it to check what the gate claims.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ragwheel.demo.result import ALL_SEGMENTS, Comparison, Interval, RankShift
from ragwheel.demo.search import Vectors
from ragwheel.demo.traffic import CorpusQuestion
from ragwheel.measuring.intervals import intervals
from ragwheel.schemas.identity import query_hash
from ragwheel.trainers.split import part_of

_METRICS = (("recall", 1), ("recall", 5), ("recall", 10), ("mrr", 10))


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
    """Recall@1/5/10 and MRR@10 before and after, for everything and per segment.

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
    position = np.array(ranks, dtype=np.float64)
    return np.stack(
        [(position <= k) / (position if metric == "mrr" else 1.0) for metric, k in _METRICS],
        axis=1,
    )


def held_out(questions: Sequence[CorpusQuestion], gate_share: float) -> list[CorpusQuestion]:
    """Questions on the gate's side of the trainer's split: no label of theirs was ever trained on.

    The answers of the others are other functions, because each function has one question.
    """
    return [
        question
        for question in questions
        if part_of(query_hash(question.text), gate_share) == "gate"
    ]


def rank_shifts(
    questions: Sequence[CorpusQuestion],
    before: Vectors,
    after: Vectors,
    chunks: Vectors,
    row_of_chunk: Mapping[str, int],
) -> tuple[RankShift, ...]:
    """Where the answer of each question stood and stands among all chunks.

    Args:
        before: vectors of the questions by the base model; `after` by the trained one.
        chunks: vectors of all chunks, the same for both: training moves the query side only.
        row_of_chunk: row in `chunks` by chunk id.
    """
    answers = np.array([row_of_chunk[question.chunk_id] for question in questions], np.int64)
    ranks = zip(
        questions,
        ranks_of(before, chunks, answers).tolist(),
        ranks_of(after, chunks, answers).tolist(),
        strict=True,
    )
    return tuple(
        RankShift(question.text, question.chunk_id, question.segment, old, new)
        for question, old, new in ranks
    )
