"""Embedding corpus and queries while the stack starts: the longest step of preparation."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass

from ragwheel.models.encoder import TextEncoder, Vectors
from ragwheel.models.vectors import VectorCache
from ragwheel.schemas.errors import RagwheelError


class EmbeddingStoppedError(RagwheelError):
    """Somebody called `close` before all vectors were there."""


@dataclass(frozen=True, slots=True)
class Embedded:
    """Vectors by the base model.

    Attributes:
        chunks: one row per chunk, in their order.
        query: the vector of each query, by its text.
        fingerprint: of their space, as the index declares it.
    """

    chunks: Vectors
    query: Mapping[str, Vectors]
    fingerprint: str


class Embedding:
    """Vectors of all chunks and queries, made in a thread of their own from the start.

    All go through the trainer's cache, so that each text is embedded once.

    Attributes:
        done: tokens embedded so far.
        total: tokens to embed; 0 until the model is loaded.
    """

    def __init__(
        self,
        load: Callable[[], TextEncoder],
        cache: VectorCache,
        chunks: Sequence[str],
        queries: Iterable[str],
    ) -> None:
        self.done = self.total = 0
        self._before = 0
        self._cancelled = threading.Event()
        thread = ThreadPoolExecutor(1, "demo-embedding")
        self._result = thread.submit(self._embed, load, cache, chunks, list(dict.fromkeys(queries)))
        thread.shutdown(wait=False)

    @property
    def over(self) -> bool:
        """Whether the thread has ended, with or without all vectors."""
        return self._result.done()

    def close(self) -> None:
        """Give up after the batch under way, and wait for that; harmless when all is done."""
        self._cancelled.set()
        wait([self._result])

    def result(self) -> Embedded:
        """All vectors, once the thread has ended.

        Raises:
            Whatever ended the thread early.
        """
        return self._result.result()

    def _embed(
        self,
        load: Callable[[], TextEncoder],
        cache: VectorCache,
        chunks: Sequence[str],
        queries: Sequence[str],
    ) -> Embedded:
        encoder = load()
        of_chunks, of_queries = (int(encoder.tokens(texts).sum()) for texts in (chunks, queries))
        self.total = of_chunks + of_queries
        vectors = cache.embed(encoder, chunks, progress=self._note)
        self._before = of_chunks
        found = cache.embed(encoder, queries, side="query", progress=self._note)
        of_query = dict(zip(queries, found, strict=True))
        return Embedded(vectors, of_query, encoder.fingerprint)

    def _note(self, done: int, _total: int) -> None:
        self.done = self._before + done
        if self._cancelled.is_set():
            raise EmbeddingStoppedError("the embedding of the corpus was stopped")
