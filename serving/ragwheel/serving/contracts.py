"""What serves, who knows it, and what a reranker must do: what whoever adds a follower writes.

The server asks a `Follower` once per request and keeps what it got until the answer is written:
a request, and every batch, is made of one generation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from ragwheel.models.encoder import Encoder, Side


class Reranker(Protocol):
    """Scores documents for a query. Called from one thread at a time."""

    @property
    def name(self) -> str:
        """Content address of the promoted reranker."""

    def score(self, query: str, documents: Sequence[str]) -> list[float]:
        """A number per document, in their order, from 0 to 1; more is more relevant."""


@dataclass(frozen=True, slots=True)
class InService:
    """One generation: what serves together, never changed. A batch is made of one only.

    Attributes:
        model_id: content address of the promoted model; of a base model, its name.
        base_model: name of the model that it was trained from.
        document_fingerprint: space of the documents that its queries are compared with.
        query: encodes queries.
        document: encodes documents: in the query lane the unchanged base encoder.
        since: when it began to serve here, UTC.
        reranker: None until one is promoted.
    """

    model_id: str
    base_model: str
    document_fingerprint: str
    query: Encoder
    document: Encoder
    since: datetime
    reranker: Reranker | None = None

    def encoder(self, side: Side) -> Encoder:
        """Who encodes texts of that side."""
        return self.query if side == "query" else self.document

    @property
    def role_matters(self) -> bool:
        """Whether a text gets another vector as a query than as a document."""
        return self.query.fingerprint != self.document.fingerprint or self.query.prompt(
            "query"
        ) != self.document.prompt("document")


@dataclass(frozen=True, slots=True)
class FollowState:
    """How following stands.

    Attributes:
        ready: a generation serves.
        candidate: a second generation that gets a share of the queries, or is only measured.
        last_refusal: why the last model did not get into service; empty: none was refused.
        swaps: generations that got into service since the start, the first not counted.
        alias: model id that the registry or the topic names now; empty: none is known.
    """

    ready: bool
    candidate: InService | None = None
    last_refusal: str = ""
    swaps: int = 0
    alias: str = ""


class Follower(Protocol):
    """Knows which generation serves. Every method is one read of a reference: none blocks."""

    def current(self) -> InService:
        """What serves.

        Raises:
            UnavailableError: nothing serves yet.
        """

    def serving(self, query_id: str | None) -> InService:
        """What serves this query: the same for the same id while a canary runs; None: `current`.

        Raises:
            UnavailableError: nothing serves yet.
        """

    def state(self) -> FollowState:
        """How following stands, for `/info`, `/readyz` and metrics."""
