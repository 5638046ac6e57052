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

from ragwheel.models.encoder import Vectors
from ragwheel.trainers.systems.contracts import Ranking

_QUERIES_AT_ONCE = 256
#: Documents of the first block; each later one is twice as large, up to the second number. While
#: little is held, much enters; the largest block's scores take 64 MiB.
_BLOCK_ROWS, _MAX_BLOCK_ROWS = 4_096, 65_536
#: Cosines that differ by less are equal: float32 sums depend on the shape of the product.
_EQUAL = 1e-6


def nearest(queries: Vectors, documents: Vectors, depth: int) -> Ranking:
    """The `depth` documents of the highest cosine for each query; equal ones in corpus order.

    Args:
        queries: shape (queries, dimension), unit length.
        documents: shape (documents, dimension), unit length.
    """
    depth = min(depth, len(documents))
    result = Ranking.empty(len(queries), depth)
    for start in range(0, len(queries) if depth else 0, _QUERIES_AT_ONCE):
        part = slice(start, start + _QUERIES_AT_ONCE)
        result.rows[part], result.scores[part] = _nearest(queries[part], documents, depth)
    return result


def ranks_of(
    queries: Vectors, documents: Vectors, pairs: Sequence[tuple[int, int]]
) -> npt.NDArray[np.int64]:
    """Rank among all documents of each (query, document) pair; 1 is the top, ties to the top.

    Cosines within 1e-6 are ties.
    """
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
    queries: Vectors, documents: Vectors, depth: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    count = len(queries)
    weakest = np.full(count, -np.inf, np.float32)
    # What is held: parallel arrays, by query, then by falling score, then by row.
    query, row, score = np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32)
    for start, stop in _blocks(len(documents)):
        scores = queries @ documents[start:stop].T
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
    rank = np.arange(len(query)) - np.searchsorted(query, query)
    found = Ranking.empty(count, depth)
    found.rows[query, rank] = row
    found.scores[query, rank] = score
    return found.rows, found.scores


def _blocks(documents: int) -> Iterator[tuple[int, int]]:
    start, size = 0, _BLOCK_ROWS
    while start < documents:
        stop = min(documents, start + size)
        yield start, stop
        start, size = stop, min(2 * size, _MAX_BLOCK_ROWS)
