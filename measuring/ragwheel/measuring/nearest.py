"""Exact nearest neighbours in bounded memory: a few hundred MiB whatever the corpus. Pure.

Documents are taken block by block, in the order of the corpus. Once `depth` results are held, only
a score strictly above the weakest of them can enter: an equal one comes later in the corpus, hence
ranks lower. So after the first blocks almost nothing has to be sorted, and ties at the cut fall as
the contract wants.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

UnitVectors = npt.NDArray[np.float32]
"""Shape (rows, dimension); every row has length 1, so a dot product is a cosine."""
RankedRows = npt.NDArray[np.int64]
"""Shape (queries, depth): document row at each rank; -1 where there is none."""

NO_RESULT = -1
_QUERIES_AT_ONCE = 256
#: Documents of the first block; each later one is twice as large, up to the second number. While
#: little is held, much enters; the largest block's scores take 64 MiB.
_BLOCK_ROWS, _MAX_BLOCK_ROWS = 4_096, 65_536
#: Cosines that differ by less are equal: float32 sums depend on the shape of the product.
_EQUAL = 1e-6
_LENGTH_TOLERANCE = 0.05


def check_unit(vectors: UnitVectors, what: str) -> None:
    """Refuse vectors that no cosine can be taken of, where they come from.

    A NaN or zero vector has rank 1 for everything, or for nothing, depending on how one counts.

    Raises:
        ValueError: names `what`, the first bad row and its trouble.
    """
    squares = np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64)
    bad = np.flatnonzero(~(np.abs(squares - 1.0) <= _LENGTH_TOLERANCE))
    if len(bad):
        length = float(np.sqrt(squares[bad[0]]))
        raise ValueError(
            f"{len(bad)} of {len(vectors)} vectors of {what} have not length 1; the first is row "
            f"{bad[0]} with length {length:.3g}. A model that makes such vectors is broken (nan: "
            "its weights are not finite) or its output was not normalised"
        )


def rank(queries: UnitVectors, documents: UnitVectors, depth: int) -> RankedRows:
    """The `depth` nearest documents of each query.

    Raises:
        ValueError: a vector has not length 1.
    """
    check_unit(queries, "queries")
    check_unit(documents, "documents")
    return nearest(queries, documents, depth)[0]


def nearest(
    queries: UnitVectors, documents: UnitVectors, depth: int
) -> tuple[RankedRows, npt.NDArray[np.float32]]:
    """The `depth` documents of the highest cosine for each query; equal ones in corpus order.

    Args:
        queries: shape (queries, dimension), unit length.
        documents: shape (documents, dimension), unit length.

    Returns:
        Rows and cosines, shape (queries, depth) or as many as there are documents. A query with NaN
        is near to nothing.
    """
    depth = min(depth, len(documents))
    rows = np.full((len(queries), depth), NO_RESULT, np.int64)
    scores = np.full((len(queries), depth), -np.inf, np.float32)
    for start in range(0, len(queries) if depth else 0, _QUERIES_AT_ONCE):
        part = slice(start, start + _QUERIES_AT_ONCE)
        rows[part], scores[part] = _nearest(queries[part], documents, depth)
    return rows, scores


def ranks_of(
    queries: UnitVectors, documents: UnitVectors, pairs: Sequence[tuple[int, int]]
) -> npt.NDArray[np.int64]:
    """Rank among all documents of each (query, document) pair; 1 is the top, ties to the top.

    Cosines within 1e-6 are ties.

    Raises:
        ValueError: a vector has not length 1.
    """
    check_unit(queries, "queries")
    check_unit(documents, "documents")
    ranks = np.ones(len(pairs), np.int64)
    if not pairs:
        return ranks
    query, document = np.array(pairs, np.int64).T
    bounds = np.einsum("ij,ij->i", queries[query], documents[document]) + np.float32(_EQUAL)
    asked = np.unique(query)
    for at in range(0, len(asked), _QUERIES_AT_ONCE):
        some = asked[at : at + _QUERIES_AT_ONCE]
        mine = np.flatnonzero(np.isin(query, some))
        of_pair = np.searchsorted(some, query[mine])
        for start, stop in _blocks(len(documents)):
            scores = queries[some] @ documents[start:stop].T
            for pair, row in zip(mine, of_pair, strict=True):
                ranks[pair] += np.count_nonzero(scores[row] > bounds[pair])
    return ranks


def _nearest(
    queries: UnitVectors, documents: UnitVectors, depth: int
) -> tuple[RankedRows, npt.NDArray[np.float32]]:
    count = len(queries)
    weakest = np.full(count, -np.inf, np.float32)
    # What is held: parallel arrays, by query, then by falling score, then by row.
    query, row, score = np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32)
    for start, stop in _blocks(len(documents)):
        scores = queries @ documents[start:stop].T
        if start == 0 and stop > depth:
            # Of the first block only its best can stay: nothing else of it has to be sorted.
            least = np.partition(scores, stop - depth, axis=1)[:, stop - depth]
            entering = np.flatnonzero(scores >= least[:, None])
        else:
            entering = np.flatnonzero(scores > weakest[:, None])
        of_query, column = np.divmod(entering, stop - start)
        query = np.concatenate([query, of_query])
        row = np.concatenate([row, column + start])
        score = np.concatenate([score, scores.ravel()[entering]])
        order = np.lexsort((row, -score, query))
        query, row, score = query[order], row[order], score[order]
        first = np.searchsorted(query, np.arange(count))
        held = np.arange(len(query)) - first[query] < depth
        query, row, score = query[held], row[held], score[held]
        counts = np.bincount(query, minlength=count)
        full = counts == depth
        weakest[full] = score[np.cumsum(counts)[full] - 1]
    # NaN is above nothing, so a query with NaN has fewer.
    at = np.arange(len(query)) - np.searchsorted(query, query)
    rows = np.full((count, depth), NO_RESULT, np.int64)
    found = np.full((count, depth), -np.inf, np.float32)
    rows[query, at], found[query, at] = row, score
    return rows, found


def _blocks(documents: int) -> Iterator[tuple[int, int]]:
    start, size = 0, _BLOCK_ROWS
    while start < documents:
        stop = min(documents, start + size)
        yield start, stop
        start, size = stop, min(2 * size, _MAX_BLOCK_ROWS)
