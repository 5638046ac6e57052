"""The promoted model at work: a question put to the server over HTTP, as any service would."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from openai import APIConnectionError, APIStatusError, OpenAI

from ragwheel.demo.embedding import Embedded
from ragwheel.demo.outcome import RankedChunk, ServedSearch
from ragwheel.demo.report.ranks import pick_examples
from ragwheel.demo.search import IndexedChunk, SearchService
from ragwheel.models.encoder import Vectors
from ragwheel.schemas.events import ModelEvent
from ragwheel.trainers.proof.evaluation import RankShift

#: Whatever serves, in the role of a query.
MODEL = "ragwheel:query"
SHOWN = 5
_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Answered:
    """What the server made of a question.

    Attributes:
        vector: unit vector, shape (dimensions,).
        model_id: of what answered, from the header.
        documents: fingerprint of the documents to compare with, from the header.
    """

    vector: Vectors
    model_id: str
    documents: str


class AskedServer:
    """The stack's server, asked with OpenAI's own client."""

    def __init__(self, client: OpenAI) -> None:
        self._client = client

    @classmethod
    def at(cls, address: str) -> AskedServer:
        """The server at `http://HOST:PORT`, which wants no key on loopback."""
        return cls(
            OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0, timeout=_TIMEOUT_S)
        )

    def ask(self, text: str) -> Answered | None:
        """The vector of a question; None while the server does not answer."""
        try:
            raw = self._client.embeddings.with_raw_response.create(model=MODEL, input=text)
        except (APIConnectionError, APIStatusError):
            return None
        vector = np.array(raw.parse().data[0].embedding, np.float32)
        headers = raw.headers
        return Answered(vector, headers["X-Ragwheel-Model"], headers["X-Ragwheel-Documents"])

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


def shown_question(shifts: Sequence[RankShift]) -> RankShift:
    """A held-out question whose answer has risen, if there is one: what a model is trained for."""
    return (*pick_examples(shifts), *shifts)[0]


def expected_model(verdict: ModelEvent) -> str:
    """What ought to serve after a first verdict."""
    return verdict.model_id if verdict.action == "promoted" else verdict.base_model


def served_search(
    answered: Answered,
    verdict: ModelEvent,
    shift: RankShift,
    embedded: Embedded,
    index: Sequence[IndexedChunk],
) -> ServedSearch:
    """What a search finds with the vector of the base model and with the server's.

    Both are compared with the same vectors of documents: those of the index.

    Args:
        shift: the question that was asked.
    """
    service = SearchService(index, embedded.chunks)

    def ranked(query: Vectors) -> tuple[RankedChunk, ...]:
        found = service.search(query, SHOWN)
        return tuple(
            RankedChunk(chunk.chunk_id, score, chunk.content_hash == shift.chunk_hash)
            for chunk, score in zip(found.chunks, found.scores, strict=True)
        )

    return ServedSearch(
        query=shift.query,
        model_id=answered.model_id,
        expected=expected_model(verdict),
        promoted=verdict.action == "promoted",
        documents_match=answered.documents == embedded.fingerprint,
        before=ranked(embedded.query[shift.query]),
        after=ranked(answered.vector),
    )
