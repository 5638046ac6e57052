"""How likely each graded pair is to be truly relevant. Pure.

One model per grader, over all its pairs: `ragwheel.measuring.noise` says which,
`ragwheel.measuring.surroundings` what is known of a pair besides its grade. The grader's
false-positive rate f is measured per segment and rubric epoch on *decoys* (random chunks in its own
calls, almost surely irrelevant), then refined on the pairs themselves, because f of near misses
need not be that of random chunks; its true-positive rate on pairs that people judged or whose
question was made from the chunk. What people say stands above both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np

from ragwheel.measuring.rank_metrics import RELEVANT_GRADE
from ragwheel.measuring.surroundings import GradedPairs, features_of
from ragwheel.models.encoder import Vectors
from ragwheel.trainers.data.grader_noise import (
    Checked,
    GradedEvidence,
    GraderModel,
    NoiseReport,
)
from ragwheel.trainers.data.records import Corpus, Grade, SampledQuery

Pair = tuple[str, str]
"""Query hash and chunk hash."""

_DOUBTFUL: Final = (0.05, 0.5)


class Believed(NamedTuple):
    """One graded pair.

    Attributes:
        rank: in the incumbent's ranking, 1 is the top.
        belief: how likely it is relevant, after its grade.
        looks: how often it was graded.
        flagged: whether the grade says relevant.
    """

    query_hash: str
    chunk_hash: str
    rank: int
    belief: float
    looks: int
    flagged: bool


@dataclass(frozen=True, slots=True)
class Beliefs:
    """Beliefs about pairs, and the report on the grader that made them."""

    pairs: tuple[Believed, ...]
    report: NoiseReport
    _by_pair: Mapping[Pair, float] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_pair = {(each.query_hash, each.chunk_hash): each.belief for each in self.pairs}
        object.__setattr__(self, "_by_pair", by_pair)

    def of(self, query_hash: str, chunk_hash: str) -> float:
        """How likely the pair is relevant; 0 for one that nobody graded and no example names."""
        return self._by_pair.get((query_hash, chunk_hash), 0.0)


def believe(
    evidence: Iterable[GradedEvidence],
    checked: Iterable[Checked],
    queries: Sequence[SampledQuery],
    query_vectors: Vectors,
    corpus: Corpus,
    documents: Vectors,
    rank_of: Mapping[Pair, int],
) -> Beliefs:
    """Beliefs in all pairs of known queries whose chunk is in the corpus.

    Args:
        evidence: one per pair, of one grader and people.
        checked: decoys and known positives of the same grader.
        query_vectors: one per query, by the encoder of the documents.
        documents: vectors of `corpus.texts`.
        rank_of: logged rank of a pair; pairs that were not logged stand behind the logged ones.
    """
    row_of_query = {each.query_hash: row for row, each in enumerate(queries)}
    rows = [(each, row_of_query.get(each.query_hash)) for each in evidence]
    found = [
        (each, row, place)
        for each, row in rows
        if row is not None
        and (place := corpus.row_of(queries[row].segment, each.chunk_hash)) is not None
    ]
    if not found:
        return Beliefs((), NoiseReport((), "nothing", (), 0.0))
    kept = [each for each, _, _ in found]
    query, chunk = (np.array(each, np.intp) for each in zip(*[x[1:] for x in found], strict=True))
    flagged = np.array([each.grade >= RELEVANT_GRADE for each in kept], np.float64)
    deepest = 1 + max(rank_of.values(), default=0)
    rank = np.array(
        [rank_of.get((each.query_hash, each.chunk_hash), deepest) for each in kept], np.float64
    )
    score = np.einsum("ij,ij->i", query_vectors[query], documents[chunk]).astype(np.float64)
    top = np.full(len(queries), -1.0)
    np.maximum.at(top, query, score)
    features = features_of(
        GradedPairs(query, chunk, flagged, score, top[query], rank, query_vectors, documents)
    )
    segments = [queries[row].segment for row in query]
    model = GraderModel([*zip(segments, (each.epoch for each in kept), strict=True)], checked)
    belief, report = model.run(features, kept, flagged, query)
    return Beliefs(
        tuple(
            Believed(
                each.query_hash, each.chunk_hash, int(at), float(value), each.looks, bool(flag)
            )
            for each, at, value, flag in zip(kept, rank, belief, flagged, strict=True)
        ),
        report,
    )


def checked_by(grades: Sequence[Grade], queries: Iterable[SampledQuery]) -> tuple[Checked, ...]:
    """What one grader's errors are measured on: its decoys, and its pairs that people judged too.

    Args:
        grades: all rows of that grader and all rows of people and synthetic questions. A decoy that
            the same grader flagged for another reason, as a logged chunk, is still a decoy.
    """
    segment_of = {each.query_hash: each.segment for each in queries}
    truth = {
        (each.query_hash, each.chunk_hash): each.grade >= RELEVANT_GRADE
        for each in grades
        if each.source != "llm"
    }
    return tuple(
        Checked(
            segment_of[each.query_hash], each.rubric_version,
            relevant=each.role != "decoy" and truth[each.query_hash, each.chunk_hash],
            flagged=each.grade >= RELEVANT_GRADE,
        )
        for each in grades
        if each.source == "llm" and each.query_hash in segment_of
        if each.role == "decoy" or (each.query_hash, each.chunk_hash) in truth
    )  # fmt: skip


def second_look(
    beliefs: Beliefs, budget: int, endorsed: Set[Pair] = frozenset()
) -> tuple[Pair, ...]:
    """Pairs worth grading again: disagreements, at most half of the budget, then doubtful flags,
    deepest and most valuable first.

    The prior comes from the incumbent's ranking, so a true flag far below is doubted: exactly what
    there is most to learn from. The value of a look is the variance of the belief, times the log
    of the rank, as a chunk's gain in a ranked list grows.

    Args:
        endorsed: pairs that an answer cited or a user clicked. Where the grade says irrelevant, one
            of the two is wrong; those that are believed most are first.
    """
    budget = max(0, budget)
    disputed = [
        each
        for each in beliefs.pairs
        if not each.flagged and each.looks < 2 and (each.query_hash, each.chunk_hash) in endorsed
    ]
    disputed.sort(key=lambda each: (-each.belief, each.query_hash, each.chunk_hash))
    low, high = _DOUBTFUL
    doubtful = [
        each
        for each in beliefs.pairs
        if each.flagged and each.looks < 2 and low <= each.belief <= high
    ]
    doubtful.sort(
        key=lambda each: (
            -each.belief * (1 - each.belief) * np.log2(1 + each.rank), each.query_hash,
            each.chunk_hash,
        )
    )  # fmt: skip
    chosen = disputed[: budget // 2]
    chosen += doubtful[: budget - len(chosen)]
    return tuple((each.query_hash, each.chunk_hash) for each in chosen)
