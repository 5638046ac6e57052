"""What can rank can be judged: the contract of every system on the leaderboard.

A system is called once per cycle, in the trainer's thread, with all gate queries. It may take
minutes, keeps no state that a later call depends on, and is not tried again: what it raises ends
the cycle. A query is ranked over the index of its own segment and no other. One test holds all
members to this.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from ragwheel.measuring.nearest import NO_RESULT, RankedRows
from ragwheel.trainers.data.records import Corpus

RankedScores = npt.NDArray[np.float32]
"""Shape (queries, depth): score at each rank, never rising; -inf where there is no result."""
SystemKind = Literal["observed", "encoder", "lexical", "fusion", "reranker"]
"""What makes the ranking: production itself, vectors, words, or a mixture of others."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A query as a system gets it."""

    query_hash: str
    query: str
    segment: str


@dataclass(frozen=True, slots=True)
class Ranking:
    """What a system returned: for each query the best corpus rows, best first, without gaps."""

    rows: RankedRows
    scores: RankedScores

    @classmethod
    def empty(cls, queries: int, depth: int) -> Ranking:
        """No result for any query."""
        return cls(
            np.full((queries, depth), NO_RESULT, np.int64),
            np.full((queries, depth), -np.inf, np.float32),
        )


class Retriever(Protocol):
    """Anything that ranks the corpus for queries."""

    @property
    def name(self) -> str:
        """How the leaderboard calls it; unique within a cycle."""

    @property
    def kind(self) -> SystemKind:
        """What makes the ranking."""

    def rank(self, queries: Sequence[Asked], depth: int) -> Ranking:
        """The best `depth` chunks of each query, equal scores in corpus order.

        Equal arguments make an equal ranking. A query that the system knows nothing of has no
        results; so has one of a segment without an index.

        Raises:
            VectorError: a query cannot be embedded.
        """


def rank_by_index(
    queries: Sequence[Asked],
    corpus: Corpus,
    depth: int,
    rank: Callable[[RankedRows, slice], Ranking],
) -> Ranking:
    """Rank queries of several indexes, those of one index together.

    Args:
        rank: from positions in `queries` and the corpus rows of their index to a ranking of them;
            its rows count from the beginning of the index.
    """
    result = Ranking.empty(len(queries), depth)
    of_span: dict[tuple[int, int], list[int]] = {}
    for position, query in enumerate(queries):
        span = corpus.slice_of(query.segment)
        if span.stop > span.start:
            of_span.setdefault((span.start, span.stop), []).append(position)
    for (start, stop), members in sorted(of_span.items()):
        chosen = np.array(members, np.int64)
        found = rank(chosen, slice(start, stop))
        rows = found.rows + np.where(found.rows == NO_RESULT, 0, start)
        width = rows.shape[1]
        result.rows[chosen, :width] = rows
        result.scores[chosen, :width] = found.scores
    return result
