"""A cheap look before a judge is paid: is the candidate proven worse on its own dev queries?"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ragwheel.measuring.intervals import intervals
from ragwheel.models.encoder import Vectors
from ragwheel.trainers.data.examples import TrainingExample
from ragwheel.trainers.data.records import Corpus
from ragwheel.trainers.proof.evaluation import ranks_of

_K = 10


def dev_check(
    examples: Sequence[TrainingExample],
    corpus: Corpus,
    incumbent: tuple[Callable[[Sequence[str]], Vectors], Vectors],
    candidate: tuple[Callable[[Sequence[str]], Vectors], Vectors],
    *,
    seed: int,
) -> str | None:
    """Why the candidate is not worth a judge, or None when it is.

    Only a proven loss counts. The dev labels know what the *incumbent* retrieved and favour it, so
    the absence of a gain here proves nothing.

    Args:
        examples: dev examples; with none nothing is proven.
        incumbent: what embeds its queries, and the vectors of its documents.
        candidate: the same of the candidate.
    """
    if not examples:
        return None
    row_of_chunk = {chunk: row for row, chunk in enumerate(corpus.chunk_hashes)}
    pairs = [
        (index, row_of_chunk[chunk])
        for index, example in enumerate(examples)
        for chunk, _ in example.positives
    ]
    texts = [example.query for example in examples]
    found = []
    for embed, documents in (incumbent, candidate):
        ranks = ranks_of(embed(texts), documents, pairs)
        best = np.full(len(examples), np.iinfo(np.int64).max)
        np.minimum.at(best, [query for query, _ in pairs], ranks)
        found.append((best <= _K).astype(np.float64))
    gain = intervals((found[1] - found[0])[:, None], seed)[0]
    if gain.high >= 0:
        return None
    return (
        f"hit@{_K} fell by {-gain.value:.1%} (95% interval {gain.low:+.1%} to {gain.high:+.1%}) on "
        f"{len(examples)} dev queries; no judge was asked"
    )
