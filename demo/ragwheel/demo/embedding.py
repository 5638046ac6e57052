"""Embedding corpus and queries while the stack starts: the longest step of preparation."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ragwheel.models.encoder import TextEncoder, Vectors, load_encoder
from ragwheel.models.vectors import VectorCache
from ragwheel.schemas.errors import RagwheelError


class EmbeddingStoppedError(RagwheelError):
    """Somebody called `stop` before all vectors were there."""


@dataclass(frozen=True, slots=True)
class Embedded:
    """Vectors by the base model.

    Attributes:
        chunks: one row per chunk, in their order.
        query: the vector of each query, by its text.
    """

    encoder: TextEncoder
    chunks: Vectors
    query: Mapping[str, Vectors]


class Embedding(threading.Thread):
    """Vectors of all chunks and queries, made in a thread of their own.

    All go through the trainer's cache, so that each text is embedded once.

    Attributes:
        done: tokens embedded so far.
        total: tokens to embed; 0 until the model is loaded.
    """

    def __init__(
        self,
        base_model: str,
        max_seq_length: int,
        cache_dir: Path,
        chunks: Sequence[str],
        queries: Sequence[str],
    ) -> None:
        super().__init__(name="demo-embedding")
        self.done = self.total = 0
        self._load = (base_model, max_seq_length)
        self._cache = VectorCache(cache_dir)
        self._chunks = chunks
        self._queries = list(dict.fromkeys(queries))
        self._before = 0
        self._cancelled = threading.Event()
        self._error: BaseException | None = None
        self._result: Embedded | None = None

    def run(self) -> None:
        """Embed everything, unless told to stop."""
        try:
            encoder = load_encoder(*self._load)
            of_chunks, of_queries = map(encoder.tokens, (self._chunks, self._queries))
            self.total = int(of_chunks.sum() + of_queries.sum())
            chunks = self._cache.embed(encoder, self._chunks, progress=self._note)
            self._before = int(of_chunks.sum())
            queries = self._cache.embed(encoder, self._queries, side="query", progress=self._note)
            by_text = dict(zip(self._queries, queries, strict=True))
            self._result = Embedded(encoder, chunks, by_text)
        except Exception as error:  # noqa: BLE001 - handed to the thread that asks for the result
            self._error = error

    def stop(self) -> None:
        """Give up after the batch under way, and wait for that; harmless when all is done."""
        self._cancelled.set()
        if self.is_alive():
            self.join()

    def result(self) -> Embedded:
        """All vectors, once the thread has ended.

        Raises:
            Whatever ended the thread early.
        """
        if self._error is not None:
            raise self._error
        if self._result is None:
            raise RuntimeError("the embedding is not finished")
        return self._result

    def _note(self, done: int, _total: int) -> None:
        self.done = self._before + done
        if self._cancelled.is_set():
            raise EmbeddingStoppedError("the embedding of the corpus was stopped")
