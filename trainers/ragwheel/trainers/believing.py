"""What is believed of graded pairs: of the labeler's for training, of the judge's for the gate.

Both graders err, each in its own way, and one model describes both (`data.beliefs`). They differ in
whose ranking tells what was likely before the grade. Labels are of what production showed, so it is
production's. A gate must not know which of two systems serves: there it is the better of both ranks
and the middle of both query vectors, or of what both return where they have no space in common.
Both stay the same when the two change places.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from ragwheel.measuring.nearest import NO_RESULT
from ragwheel.models.encoder import Vectors
from ragwheel.trainers.data.beliefs import Beliefs, Pair, believe, checked_by
from ragwheel.trainers.data.evidence import Evidence
from ragwheel.trainers.data.evidence import evidence as evidence_of
from ragwheel.trainers.data.records import Corpus, Grade, LoggedRanking, SampledQuery
from ragwheel.trainers.proof.judging import Judged
from ragwheel.trainers.systems.contracts import Ranking
from ragwheel.trainers.systems.observed import replaced_stage

#: Results of each system that stand for a query.
_FIRST: Final = 3


@dataclass(frozen=True, slots=True)
class Setting:
    """Queries and corpus in one space of vectors.

    Attributes:
        query_vectors: one per query, unit length.
        documents: vectors of `corpus.texts`, unit length.
    """

    queries: Sequence[SampledQuery]
    query_vectors: Vectors
    corpus: Corpus
    documents: Vectors


def labels_believed(
    where: Setting, grades: Sequence[Grade], logged: Sequence[LoggedRanking]
) -> Beliefs:
    """Beliefs in the labels of one grader and in those of people.

    Args:
        grades: that count (`evidence.current_grades`), decoys included.
    """
    return believe(
        evidence_of(grades), checked_by(grades, where.queries), where.queries,
        where.query_vectors, where.corpus, where.documents, logged_ranks(logged),
    )  # fmt: skip


def judgments_believed(
    where: Setting, judged: Judged, decoys: Iterable[Grade], rankings: Sequence[Ranking]
) -> Beliefs:
    """Beliefs in the judgments of a gate, which favour no system.

    Args:
        where: of the gate queries, with `between` of the systems' vectors, or `middle_of_results`.
        decoys: of any grader; those of the judge measure how often it is wrong.
        rankings: of the systems that the verdict is about, one row per query.
    """
    said = [
        Evidence(
            each.query_hash, each.chunk_hash, each.grade, each.rubric_version, "llm",
            looks=1, agreement=1.0,
        )
        for each in judged.judgments
        if each.grade is not None
    ]  # fmt: skip
    own = [each for each in decoys if each.role == "decoy" and each.grader_id == judged.grader_id]
    return believe(
        said, checked_by(own, where.queries), where.queries, where.query_vectors, where.corpus,
        where.documents, _better_ranks(where, rankings),
    )  # fmt: skip


def between(*vectors: Vectors) -> Vectors:
    """The direction in the middle of each query's vectors, unit length."""
    middle = np.sum(vectors, axis=0)
    # Opposite vectors have no middle; any direction is as good as another.
    length = np.maximum(np.linalg.norm(middle, axis=1, keepdims=True), 1e-9)
    return np.asarray(middle / length, np.float32)


def middle_of_results(documents: Vectors, rankings: Sequence[Ranking]) -> Vectors:
    """The direction in the middle of what the systems return first, one per query, unit length.

    Stands for the query where one of the systems does not search these vectors: the query vector of
    the other alone would call likely what the other ranks high.
    """
    rows = np.hstack([ranking.rows[:, :_FIRST] for ranking in rankings])
    found = np.where((rows != NO_RESULT)[..., None], documents[rows], 0.0)
    return between(np.asarray(found.sum(axis=1), np.float32))


def logged_ranks(logged: Sequence[LoggedRanking]) -> dict[Pair, int]:
    """Rank of each pair in the stage that a candidate would replace, else in any."""
    stage = replaced_stage(logged)
    return {
        (each.query_hash, chunk): rank
        for each in sorted(logged, key=lambda ranking: ranking.stage == stage)
        for rank, chunk in enumerate(each.chunk_hashes, start=1)
    }


def _better_ranks(where: Setting, rankings: Sequence[Ranking]) -> dict[Pair, int]:
    ranks: dict[Pair, int] = {}
    for ranking in rankings:
        for query, rows in zip(where.queries, ranking.rows.tolist(), strict=True):
            for rank, row in enumerate(rows, start=1):
                if row != NO_RESULT:
                    pair = query.query_hash, where.corpus.chunk_hashes[row]
                    ranks[pair] = min(rank, ranks.get(pair, rank))
    return ranks
