"""The search service that the demo instruments: exact dense retrieval over one index."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ragwheel.models.encoder import Vectors


@dataclass(frozen=True, slots=True)
class IndexedChunk:
    """What the index knows of a chunk; the text went to ragwheel once, as a ChunkEvent."""

    chunk_id: str
    content_hash: str

    @property
    def package(self) -> str:
        """Top-level package or module of the chunk."""
        return self.chunk_id.split(":")[0].split(".")[0]


@dataclass(frozen=True, slots=True)
class Found:
    """Results of one search, best first.

    Attributes:
        latency_ms: time of ranking; the query vector comes from a cache.
    """

    chunks: tuple[IndexedChunk, ...]
    scores: tuple[float, ...]
    latency_ms: float

    def rank_of(self, chunk_id: str) -> int | None:
        """Rank of a chunk, 1 is the top; None when it is not among the results."""
        ranked = (chunk.chunk_id for chunk in self.chunks)
        return next((rank for rank, found in enumerate(ranked, 1) if found == chunk_id), None)


class SearchService:
    """Ranks all chunks by cosine for each query: no approximation between model and measurement.

    Args:
        chunks: the index.
        vectors: one unit vector per chunk, shape (len(chunks), dimensions).
    """

    def __init__(self, chunks: Sequence[IndexedChunk], vectors: Vectors) -> None:
        if len(chunks) != len(vectors):
            raise ValueError(f"{len(chunks)} chunks, but {len(vectors)} vectors")
        self._chunks = tuple(chunks)
        self._vectors = vectors
        self._packages = np.array([chunk.package for chunk in chunks])

    def search(self, query: Vectors, k: int, package: str = "") -> Found:
        """The `k` nearest chunks.

        Args:
            query: unit vector, shape (dimensions,).
            package: consider chunks of this top-level package only; "" considers all.
        """
        began = time.perf_counter()
        scores = self._vectors @ query
        if package:
            allowed = np.flatnonzero(self._packages == package)
        else:
            allowed = np.argpartition(-scores, min(k, len(scores) - 1))[:k]
        best = allowed[np.argsort(-scores[allowed], kind="stable")][:k]
        return Found(
            tuple(self._chunks[index] for index in best),
            tuple(float(scores[index]) for index in best),
            (time.perf_counter() - began) * 1000,
        )
