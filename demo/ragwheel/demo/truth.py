"""Recall by the truth: every held-out question, and the one function that it was written for.

The product cannot know this. The demo can, and uses it to check what the gate claims.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ragwheel.demo.outcome import METRICS, Comparison
from ragwheel.demo.search import IndexedChunk
from ragwheel.demo.searches import CorpusQuestion
from ragwheel.measuring.intervals import intervals
from ragwheel.models.encoder import Vectors
from ragwheel.schemas.identity import query_hash
from ragwheel.trainers.data.split import part_of
from ragwheel.trainers.proof.evaluation import ALL_SEGMENTS, RankShift


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
        found = intervals(columns, seed)
        size = len(METRICS)
        systems = (found[:size], found[size : 2 * size], found[2 * size :])
        rows += [
            Comparison(metric, k, segment, *measured, queries=len(chosen))
            for (metric, k), measured in zip(METRICS, zip(*systems, strict=True), strict=True)
        ]
    return tuple(rows)


def _figures(ranks: Sequence[int]) -> NDArray[np.float64]:
    """One row per question, one column per metric."""
    position = np.array(ranks, dtype=np.float64)
    return np.stack(
        [(position <= k) / (position if metric == "mrr" else 1.0) for metric, k in METRICS],
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
    index: Sequence[IndexedChunk],
) -> tuple[RankShift, ...]:
    """Where the answer of each question stood and stands among all chunks.

    Args:
        before: vectors of the questions by the base model; `after` by the trained one.
        chunks: vectors of all chunks, the same for both: training moves the query side only.
        index: the chunk of each row of `chunks`.
    """
    row_of_chunk = {chunk.chunk_id: row for row, chunk in enumerate(index)}
    answers = np.array([row_of_chunk[question.chunk_id] for question in questions], np.int64)
    ranks = (ranks_of(queries, chunks, answers).tolist() for queries in (before, after))
    return tuple(
        RankShift(asked.text, query_hash(asked.text), index[row].content_hash, asked.segment, *both)
        for asked, row, both in zip(questions, answers, zip(*ranks, strict=True), strict=True)
    )
