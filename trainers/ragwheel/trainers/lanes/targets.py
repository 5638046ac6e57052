"""What a softmax over the corpus is trained towards: shares of positives, and who takes part."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ragwheel.models.manifest import TrainConfig
from ragwheel.trainers.data.examples import TrainingExample
from ragwheel.trainers.data.records import Corpus

_EXCLUDED = -1e4
BatchTable = npt.NDArray[np.float32]
"""Shape (queries of a batch, columns)."""


class SoftmaxTargets:
    """The columns of the softmax and what each example wants of them.

    Attributes:
        columns: corpus rows that take part, sorted: all of them, or those that examples name and a
            sample of the others.
    """

    def __init__(
        self,
        examples: Sequence[TrainingExample],
        corpus: Corpus,
        config: TrainConfig,
        random: np.random.Generator,
    ) -> None:
        """Choose the columns; draws from `random` only where the corpus is sampled."""
        self._corpus = corpus
        rows = np.arange(len(corpus.chunk_hashes))
        if len(rows) > config.background_chunks:
            named = np.unique([row for each in examples for row in self._named(each)])
            others = np.setdiff1d(rows, named, assume_unique=True)
            drawn = random.choice(others, min(config.background_chunks, len(others)), replace=False)
            rows = np.sort(np.concatenate([named, drawn]))
        self.columns = rows
        self._hard = math.log(config.hard_negative_weight)

    def of(self, batch: Sequence[TrainingExample]) -> tuple[BatchTable, BatchTable]:
        """Shares and bias of a batch: a row of shares sums to the weight of its query."""
        shares = np.zeros((len(batch), len(self.columns)), np.float32)
        bias = np.zeros_like(shares)
        for row, example in enumerate(batch):
            found = self._columns(example.segment, [each.chunk_hash for each in example.positives])
            shares[row, found] = [each.belief * (2.0**each.grade - 1) for each in example.positives]
            shares[row] *= example.weight / shares[row].sum()
            bias[row, self._columns(example.segment, example.negatives)] = self._hard
            bias[row, self._columns(example.segment, example.ignored)] = _EXCLUDED
            # Chunks of other indexes are no answers here, and no wrong ones.
            of = self._corpus.slice_of(example.segment)
            start, stop = np.searchsorted(self.columns, (of.start, of.stop))
            bias[row, :start] = bias[row, stop:] = _EXCLUDED
        return shares, bias

    def _named(self, example: TrainingExample) -> list[int]:
        chunks = (*(e.chunk_hash for e in example.positives), *example.negatives, *example.ignored)
        return self._rows(example.segment, chunks)

    def _columns(self, segment: str, chunks: Sequence[str]) -> npt.NDArray[np.intp]:
        return np.searchsorted(self.columns, np.array(self._rows(segment, chunks), np.intp))

    def _rows(self, segment: str, chunks: Sequence[str]) -> list[int]:
        rows = [(chunk, self._corpus.row_of(segment, chunk)) for chunk in chunks]
        if missing := [chunk for chunk, row in rows if row is None]:
            raise ValueError(f"chunk {missing[0]} is not in the index of segment {segment!r}")
        return [row for _, row in rows if row is not None]
