"""BM25 over the corpus: what keyword search would have returned.

Settings are Lucene's (k1 1.2, b 0.75, idf that is never negative) over lower-cased runs of word
characters, with no stemming and no stop words: nothing in it knows a language, and nothing is
tuned. Languages that write without spaces need another tokenizer to be judged fairly.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ragwheel.measuring.nearest import RankedRows
from ragwheel.trainers.data.records import Corpus
from ragwheel.trainers.systems.contracts import (
    Asked,
    Ranking,
    SystemKind,
    rank_by_index,
)

if TYPE_CHECKING:
    from bm25s import BM25

K1, B, METHOD = 1.2, 0.75, "lucene"
WORDS = r"(?u)\b\w+\b"


class LexicalSystem:
    """A `Retriever` by BM25, with one index of words per index of the corpus."""

    name = "bm25"
    kind: SystemKind = "lexical"

    def __init__(self, corpus: Corpus) -> None:
        """Words are indexed while `rank` runs, and forgotten with it."""
        self._corpus = corpus

    def rank(self, queries: Sequence[Asked], depth: int) -> Ranking:
        """The chunks of each query that share a word with it, best first."""

        def rank(chosen: RankedRows, span: slice) -> Ranking:
            index = _index(self._corpus.texts[span])
            found = Ranking.empty(len(chosen), depth)
            words = _words([queries[position].query for position in chosen])
            for at, asked in enumerate(words):
                if index is None or not asked:
                    continue
                scores = np.asarray(index.get_scores(asked), np.float32)
                rows = _best(scores, depth)
                found.rows[at, : len(rows)] = rows
                found.scores[at, : len(rows)] = scores[rows]
            return found

        return rank_by_index(queries, self._corpus, depth, rank)


def _best(scores: npt.NDArray[np.float32], depth: int) -> RankedRows:
    """RankedRows of the `depth` highest positive scores; equal ones by row."""
    rows = np.flatnonzero(scores > 0)
    if len(rows) > depth:
        cut = np.partition(scores[rows], len(rows) - depth)[len(rows) - depth]
        rows = rows[scores[rows] >= cut]
    return rows[np.lexsort((rows, -scores[rows]))][:depth]


def _index(texts: Sequence[str]) -> BM25 | None:
    """An index of the words of `texts`; None when there is no word in them."""
    from bm25s import BM25

    words = _words(texts)
    if not any(words):
        return None
    # It asks for debug messages, whatever the process wants.
    logging.getLogger("bm25s").setLevel(logging.WARNING)
    index = BM25(k1=K1, b=B, method=METHOD)
    index.index(words, show_progress=False)
    return index


def _words(texts: Sequence[str]) -> list[list[str]]:
    from bm25s import tokenize

    found = tokenize(
        list(texts), token_pattern=WORDS, stopwords=[], return_ids=False, show_progress=False
    )
    return [[word for word in words if word] for words in found]
