"""What is known of a graded pair besides its own grade: the features of the noise model. Pure.

Three kinds, none of which looks at the pair's own grade:

- where the incumbent ranked the chunk: score, score − top score, 1 / rank, log rank;
- how often the query's other chunks were flagged, how often those above it, and how often the chunk
  was flagged for other queries;
- *votes*: flags of the same chunk for similar queries, and flags of similar chunks for the same
  query, each weighted exp(sharpness · (cosine − 1)), a kernel estimate (E. Nadaraya, Theory of
  Probability and its Applications 9, 1964). They tell true flags from false ones better than all
  the rest, because errors of a grader do not repeat where answers do.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ragwheel.measuring.nearest import UnitVectors
from ragwheel.measuring.noise import PairValues

PairRows = npt.NDArray[np.intp]
"""Shape (pairs,)."""

_SHARPNESS = (8.0, 20.0)
#: Cosine from which on a neighbour votes at all, and the cosine at which one vote is as strong as
#: the belief that nothing is known.
_NEAR, _DOUBT = 0.2, 0.5
#: A chunk of more queries is voted on by a sample of them.
_VOTERS = 2_000
#: How many pairs the common share of flags is worth in a chunk's own share.
_COMMON_PAIRS = 4.0


@dataclass(frozen=True, slots=True)
class GradedPairs:
    """Pairs with what a grader and the incumbent's ranking said of them; one entry per pair.

    Attributes:
        query: row of the query in `query_vectors`.
        chunk: row of the chunk in `chunk_vectors`.
        flagged: 1 where the pair was called relevant, else 0.
        score: of the chunk in the incumbent's ranking.
        top: best score of that ranking.
        rank: of the chunk, 1 is the top.
        query_vectors: shape (queries, dimension), unit rows.
        chunk_vectors: shape (chunks, dimension), unit rows.
    """

    query: PairRows
    chunk: PairRows
    flagged: PairValues
    score: PairValues
    top: PairValues
    rank: PairValues
    query_vectors: UnitVectors
    chunk_vectors: UnitVectors


def features_of(pairs: GradedPairs) -> npt.NDArray[np.float64]:
    """Shape (pairs, features): a constant, then columns of mean 0 and spread 1."""
    common = float(pairs.flagged.mean())
    in_query, in_chunk = _counts(pairs.query), _counts(pairs.chunk)
    flags_in_query = np.bincount(pairs.query, pairs.flagged)[pairs.query]
    flags_in_chunk = np.bincount(pairs.chunk, pairs.flagged)[pairs.chunk]
    columns = [
        pairs.score,
        pairs.score - pairs.top,
        1.0 / pairs.rank,
        np.log(pairs.rank),
        (flags_in_query - pairs.flagged) / np.maximum(in_query - 1, 1),
        _flagged_above(pairs),
        (flags_in_chunk - pairs.flagged + _COMMON_PAIRS * common) / (in_chunk - 1 + _COMMON_PAIRS),
        np.log(in_chunk),
        *votes(pairs.chunk, pairs.query, pairs.query_vectors, pairs.flagged - common).T,
        *votes(pairs.query, pairs.chunk, pairs.chunk_vectors, pairs.flagged - common).T,
    ]
    table = np.stack(columns, axis=1)
    table = (table - table.mean(axis=0)) / np.maximum(table.std(axis=0), 1e-9)
    return np.hstack([np.ones((len(table), 1)), table])


def votes(
    group: PairRows, item: PairRows, vectors: UnitVectors, surplus: PairValues
) -> npt.NDArray[np.float64]:
    """What the other pairs of a pair's group say, the nearer the louder.

    Args:
        group: what pairs have in common, as their chunk.
        item: row in `vectors` of what they differ in, as their query.
        surplus: how far each is flagged above the mean.

    Returns:
        Shape (pairs, 2): a wide and a narrow neighbourhood; 0 where nobody is near.
    """
    result = np.zeros((len(group), len(_SHARPNESS)))
    for members in _groups(group):
        voters = members[:: 1 + (len(members) - 1) // _VOTERS]
        for start in range(0, len(members), _VOTERS):
            asked = members[start : start + _VOTERS]
            cosine = vectors[item[asked]] @ vectors[item[voters]].T
            near = (cosine > _NEAR) & (asked[:, None] != voters)
            for column, sharpness in enumerate(_SHARPNESS):
                weight = np.where(near, np.exp(sharpness * (cosine - 1.0)), 0.0)
                said = weight @ surplus[voters]
                doubt = np.exp(sharpness * (_DOUBT - 1.0))
                result[asked, column] = said / (weight.sum(axis=1) + doubt)
    return result


def _flagged_above(pairs: GradedPairs) -> PairValues:
    """Share flagged of the query's chunks that stand above each; 0 at the top."""
    order = np.lexsort((pairs.rank, pairs.query))
    flagged, query = pairs.flagged[order], pairs.query[order]
    before = np.cumsum(flagged) - flagged
    is_first = np.diff(query, prepend=-1) != 0
    start = np.maximum.accumulate(np.where(is_first, np.arange(len(order)), 0))
    result = np.empty(len(order))
    place = np.arange(len(order)) - start
    result[order] = (before - before[start]) / np.maximum(place, 1)
    return result


def _counts(group: PairRows) -> PairValues:
    return np.bincount(group)[group].astype(np.float64)


def _groups(group: PairRows) -> Iterator[PairRows]:
    """Indices of the pairs of each group that has more than one."""
    order = np.argsort(group, kind="stable")
    borders = np.flatnonzero(np.diff(group[order])) + 1
    yield from (members for members in np.split(order, borders) if len(members) > 1)
