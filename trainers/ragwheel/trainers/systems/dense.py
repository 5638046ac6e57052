"""A query encoder over vectors of documents: the base model, the incumbent, most candidates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ragwheel.models.encoder import Vectors
from ragwheel.trainers.data.records import Corpus
from ragwheel.trainers.systems.contracts import Asked, Ranking, SystemKind, rank_by_index
from ragwheel.trainers.systems.nearest import nearest, ranks_of


@dataclass(frozen=True, slots=True)
class EncoderSystem:
    """A `Retriever` by cosine.

    Attributes:
        encode: unit vectors of queries, prompt included; `TextEncoder.encode` of the query side or
            a cache before it.
        documents: unit vectors of `corpus.texts`, by the encoder of documents.
    """

    name: str
    encode: Callable[[Sequence[str]], Vectors]
    documents: Vectors = field(repr=False)
    corpus: Corpus = field(repr=False)
    kind: SystemKind = "encoder"

    def rank(self, queries: Sequence[Asked], depth: int) -> Ranking:
        """The nearest chunks of each query in its index."""
        vectors = self.encode([each.query for each in queries])
        return rank_by_index(
            queries, self.corpus, depth,
            lambda chosen, span: nearest(vectors[chosen], self.documents[span], depth),
        )  # fmt: skip

    def ranks(
        self, queries: Sequence[Asked], pairs: Sequence[tuple[int, int]]
    ) -> npt.NDArray[np.int64]:
        """Rank of each (position in `queries`, corpus row) among its whole index; 1 is the top."""
        vectors = self.encode([each.query for each in queries])
        result = np.zeros(len(pairs), np.int64)
        of_span: dict[tuple[int, int], list[int]] = {}
        for number, (query, _) in enumerate(pairs):
            span = self.corpus.slice_of(queries[query].segment)
            if span is None:
                raise ValueError(f"segment {queries[query].segment!r} has no index")
            of_span.setdefault((span.start, span.stop), []).append(number)
        for (start, stop), members in of_span.items():
            chosen = [(pairs[each][0], pairs[each][1] - start) for each in members]
            result[members] = ranks_of(vectors, self.documents[start:stop], chosen)
        return result
