"""Texts in, vectors or scores out: what every route asks. Knows no API and no HTTP."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ragwheel.backends.telemetry import Telemetry
from ragwheel.models.encoder import Vectors
from ragwheel.schemas.errors import UnavailableError
from ragwheel.schemas.limits import MAX_TEXT_CHARS
from ragwheel.serving import gauges
from ragwheel.serving.asking import ALIAS, AskedFor, asked
from ragwheel.serving.batching import BatchLane
from ragwheel.serving.contracts import Follower, InService, Reranker
from ragwheel.serving.encode_thread import EncodeError, EncodeThread, OverloadedError
from ragwheel.serving.recent_vectors import OneVector, RecentVectors, VectorKey
from ragwheel.serving.refusals import Refusal, too_large, wrong


class Answering:
    """Answers with what serves. Used from one event loop.

    Args:
        max_texts: of one request.
    """

    def __init__(
        self,
        follower: Follower,
        thread: EncodeThread,
        recent: RecentVectors,
        telemetry: Telemetry,
        max_texts: int,
    ) -> None:
        self.follower = follower
        self.max_texts = max_texts
        self._thread = thread
        self._recent = recent
        self._telemetry = telemetry

    def asked(self, query_id: str | None, model: str = ALIAS, role: str | None = None) -> AskedFor:
        """What a request is for; the same generation until it is answered.

        Raises:
            Refusal: see `asking.asked`; 503 while nothing serves.
        """
        return asked(self.generation(query_id), model, role)

    def generation(self, query_id: str | None = None) -> InService:
        """What serves this query.

        Raises:
            Refusal: 503 while nothing serves.
        """
        try:
            return self.follower.serving(query_id)
        except UnavailableError as error:
            raise Refusal(503, str(error), code="not_ready", retry_after_s=1) from None

    async def vectors(self, what: AskedFor, texts: Sequence[str], field: str) -> Vectors:
        """Unit vectors of `texts`, in their order.

        Args:
            field: where the request has them, for messages.

        Raises:
            Refusal: 400 or 413 for a text that has no vector, 429 when too much waits, 500 when
                the model fails.
        """
        self._check(texts, field)
        keys = self._keys(what, texts)
        found: list[OneVector | None] = [self._recent.get(key) for key in keys]
        missing = [row for row, vector in enumerate(found) if vector is None]
        gauges.show_lookups(self._telemetry, len(texts) - len(missing), len(missing))
        if missing:
            lane = BatchLane(
                what.generation,
                (id(what.encoder), what.side),
                lambda batch: what.encoder.encode(batch, what.side),
                what.generation.model_id,
            )
            wanted = [texts[row] for row in missing]
            sizes = what.encoder.tokens(wanted).tolist()
            for row, vector in zip(missing, await self._run(lane, wanted, sizes), strict=True):
                found[row] = vector
                self._recent.put(keys[row], vector)
        return np.array(found, np.float32)

    async def scores(
        self, what: InService, query: str, documents: Sequence[str], field: str
    ) -> list[float]:
        """How relevant each document is to the query, 0 to 1, in their order.

        Raises:
            Refusal: 404 without a reranker; else as `vectors`.
        """
        reranker = reranker_of(what)
        self._check([query], "query")
        self._check(documents, field)
        lane = BatchLane(
            what,
            ("rerank", query),
            lambda batch: reranker.score(query, batch),
            reranker.name,
        )
        sizes = what.query.tokens(documents).tolist()
        return [float(score) for score in await self._run(lane, documents, sizes)]

    def tokens(self, what: AskedFor, texts: Sequence[str]) -> int:
        """Tokens of `texts` as they are estimated here: what batches and usage are counted in."""
        return int(what.encoder.tokens(texts).sum())

    async def _run(
        self, lane: BatchLane, texts: Sequence[str], sizes: Sequence[int]
    ) -> list[OneVector]:
        try:
            return await self._thread.results(lane, texts, sizes)
        except OverloadedError as full:
            raise Refusal(
                429,
                f"too many requests wait: ask again in {full.retry_after_s} s, or start more "
                "servers",
                code="overloaded",
                retry_after_s=full.retry_after_s,
            ) from None
        except EncodeError as error:
            raise Refusal(500, str(error), code="model_failed") from None

    def _check(self, texts: Sequence[str], field: str) -> None:
        if not texts:
            raise wrong(field, "there is no text in it")
        if len(texts) > self.max_texts:
            raise too_large(
                field,
                f"{len(texts)} texts, and one request may have {self.max_texts}: send several",
            )
        for row, text in enumerate(texts):
            where = f"{field}[{row}]" if len(texts) > 1 else field
            if not text.strip():
                raise wrong(where, "the text is empty, and its vector would mean nothing")
            if len(text) > MAX_TEXT_CHARS:
                raise too_large(
                    where,
                    f"{len(text)} characters, and a text may have {MAX_TEXT_CHARS}: send passages",
                )

    def _keys(self, what: AskedFor, texts: Sequence[str]) -> list[VectorKey]:
        encoder = what.encoder
        of_all = encoder.fingerprint, encoder.arithmetic, what.side, encoder.prompt(what.side)
        return [(*of_all, text) for text in texts]


def reranker_of(generation: InService) -> Reranker:
    """The reranker that serves.

    Raises:
        Refusal: 404, there is none.
    """
    if generation.reranker is None:
        raise Refusal(
            404,
            f"no reranker was promoted beside model {generation.model_id}: documents can be "
            "compared by the vectors of /v1/embeddings until one is",
            code="no_reranker",
        )
    return generation.reranker
