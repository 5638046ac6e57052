"""Embedding corpus and questions while the stack starts: the longest step of preparation."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

from ragwheel.demo.search import Vectors
from ragwheel.models.encoder import TextEncoder, load_encoder
from ragwheel.models.vectors import VectorCache
from ragwheel.schemas.errors import RagwheelError


class EmbeddingStoppedError(RagwheelError):
    """Somebody called `stop` before all vectors were there."""


class Embedding(threading.Thread):
    """Vectors of all chunks and questions, made in a thread of their own.

    Chunk vectors go through the trainer's cache, so that the corpus is embedded once.

    Attributes:
        done: texts embedded so far.
        total: texts to embed.
    """

    def __init__(
        self,
        base_model: str,
        max_seq_length: int,
        cache_dir: Path,
        chunks: Sequence[str],
        questions: Sequence[str],
    ) -> None:
        super().__init__(name="demo-embedding")
        self.done = 0
        self.total = len(chunks) + len(questions)
        self._load = (base_model, max_seq_length)
        self._cache = VectorCache(cache_dir)
        self._chunks = chunks
        self._questions = questions
        self._cancelled = threading.Event()
        self._error: BaseException | None = None
        self._encoder: TextEncoder | None = None
        self._chunk_vectors: Vectors | None = None
        self._question_vectors: Vectors | None = None

    def run(self) -> None:
        """Embed everything, unless told to stop."""
        try:
            self._encoder = load_encoder(*self._load)
            self._chunk_vectors = self._cache.embed(
                self._encoder, self._chunks, progress=self._note
            )
            self._question_vectors = self._encoder.encode(
                self._questions, progress=lambda done, _: self._note(len(self._chunks) + done, 0)
            )
        except Exception as error:  # noqa: BLE001 - handed to the thread that asks for the result
            self._error = error

    def stop(self) -> None:
        """Give up after the batch under way, and wait for that; harmless when all is done."""
        self._cancelled.set()
        if self.is_alive():
            self.join()

    def result(self) -> tuple[TextEncoder, Vectors, Vectors]:
        """(encoder, chunk vectors, question vectors) once the thread has ended.

        Raises:
            Whatever ended the thread early.
        """
        if self._error is not None:
            raise self._error
        if self._encoder is None or self._chunk_vectors is None or self._question_vectors is None:
            raise RuntimeError("the embedding is not finished")
        return self._encoder, self._chunk_vectors, self._question_vectors

    def _note(self, done: int, _total: int) -> None:
        self.done = done
        if self._cancelled.is_set():
            raise EmbeddingStoppedError("the embedding of the corpus was stopped")
