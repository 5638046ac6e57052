"""A candidate that is measured on live queries, which never wait for it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from hashlib import blake2b
from queue import Empty, Full, Queue
from threading import Event, Thread

import numpy as np

from ragwheel.models.canaries import Reference
from ragwheel.models.encoder import Encoder, Progress, Side, Tokens, VectorError, Vectors

_LOG = logging.getLogger(__name__)
#: Queries that wait to be encoded by the candidate; more are left out.
_WAITING = 256
#: Of the last so many queries the overlap is shown.
_RECENT = 500
_POLL_S = 0.2


def share_of(name: str, key: str) -> float:
    """Where a key stands in [0, 1): the same for the same key; `name` sets draws apart.

    A key that is below p is below any larger p: shares are nested as they grow.
    """
    digest = blake2b(f"{name}\0{key}".encode(), digest_size=8, person=b"canary").digest()
    return int.from_bytes(digest, "big") / 2.0**64


class Shadowing:
    """Encodes a share of live queries with a candidate in a thread of its own."""

    def __init__(
        self,
        candidate: Encoder,
        model_id: str,
        reference: Reference,
        share: float,
        show: Callable[[float], None],
    ) -> None:
        """Starts with `start`.

        Args:
            candidate: used by this thread alone.
            reference: documents that both models' first ten are taken from.
            show: told the mean overlap@10 of the last queries.
        """
        self._candidate = candidate
        self._name = model_id
        self._reference = reference
        self._share = share
        self._show = show
        self._queue: Queue[tuple[str, Vectors]] = Queue(_WAITING)
        self._overlaps: list[float] = []
        self._stop = Event()
        self._thread = Thread(target=self._work, name="shadow", daemon=True)

    def start(self) -> None:
        """Begin to measure."""
        self._thread.start()

    def close(self) -> None:
        """End; what waits is left out."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=10)

    def saw(self, texts: Sequence[str], vectors: Vectors) -> None:
        """Queries were answered with `vectors`. Returns at once; drops what finds no room."""
        for text, vector in zip(texts, vectors, strict=True):
            if share_of(f"shadow {self._name}", text) < self._share:
                try:
                    self._queue.put_nowait((text, vector))
                except Full:
                    return

    def _work(self) -> None:
        while not self._stop.is_set():
            try:
                text, vector = self._queue.get(timeout=_POLL_S)
            except Empty:
                continue
            try:
                theirs = self._candidate.encode([text], "query")
            except VectorError as error:
                _LOG.warning("the candidate %s: %s", self._name, error)
                continue
            overlap = float(self._reference.overlap(vector[None], theirs)[0])
            self._overlaps = [*self._overlaps[1 - _RECENT :], overlap]
            self._show(float(np.mean(self._overlaps)))


class ShadowedEncoder:
    """An encoder that lets a `Shadowing` see the queries that it encodes."""

    def __init__(self, encoder: Encoder, shadowing: Shadowing) -> None:
        self._encoder = encoder
        self._shadowing = shadowing

    @property
    def fingerprint(self) -> str:
        """Of the encoder that answers."""
        return self._encoder.fingerprint

    @property
    def arithmetic(self) -> str:
        """Of the encoder that answers."""
        return self._encoder.arithmetic

    @property
    def dimension(self) -> int:
        """Of the encoder that answers."""
        return self._encoder.dimension

    @property
    def again(self) -> Callable[[], Encoder] | None:
        """Without the shadow."""
        return self._encoder.again

    def prompt(self, side: Side) -> str:
        """Of the encoder that answers."""
        return self._encoder.prompt(side)

    def tokens(self, texts: Sequence[str]) -> Tokens:
        """Of the encoder that answers."""
        return self._encoder.tokens(texts)

    def encode(self, texts: Sequence[str], side: Side, progress: Progress | None = None) -> Vectors:
        """The encoder's own vectors."""
        vectors = self._encoder.encode(texts, side, progress)
        if side == "query":
            self._shadowing.saw(texts, vectors)
        return vectors
