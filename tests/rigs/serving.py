"""Encoders, rerankers and generations whose every call is seen, and the application around them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import blake2b
from threading import Event
from typing import Any

import httpx
import numpy as np

from ragwheel.backends.telemetry import Telemetry
from ragwheel.models.canaries import EncodeFew
from ragwheel.models.encoder import Encoder, Progress, Side, Tokens, VectorError, Vectors
from ragwheel.schemas.loading import load
from ragwheel.schemas.settings import ServingSettings
from ragwheel.serving.app import create_app
from ragwheel.serving.contracts import Follower, FollowState, InService, Reranker

DIMENSION = 8
SINCE = datetime(2026, 11, 25, tzinfo=UTC)


@dataclass(eq=False)
class SeenEncoder:
    """Vectors that differ by model, side and text; every batch is kept.

    Attributes:
        free: while it is cleared, a batch under way stays so.
        begun: set when a batch begins.
        poison: texts on which the model fails.
        broken: the model makes NaN of every text.
        arithmetic: with what precision it says that it computes.
    """

    name: str = "m"
    prompts: Mapping[str, str] = field(default_factory=dict)
    poison: frozenset[str] = frozenset()
    broken: bool = False
    arithmetic: str = "fp32"
    batches: list[tuple[Side, list[str]]] = field(default_factory=list)
    free: Event = field(default_factory=Event)
    begun: Event = field(default_factory=Event)

    def __post_init__(self) -> None:
        self.free.set()

    @property
    def fingerprint(self) -> str:
        return f"space of {self.name}"

    @property
    def dimension(self) -> int:
        return DIMENSION

    @property
    def again(self) -> Callable[[], Encoder] | None:
        return None

    def prompt(self, side: Side) -> str:
        return self.prompts.get(side, "")

    def tokens(self, texts: Sequence[str]) -> Tokens:
        return np.array([len(text.split()) + 2 for text in texts], np.int64)

    def encode(self, texts: Sequence[str], side: Side, progress: Progress | None = None) -> Vectors:
        self.batches.append((side, list(texts)))
        self.begun.set()
        assert self.free.wait(60)
        if self.poison.intersection(texts):
            raise VectorError("the vector of a text is zero")
        vectors = np.stack([self.vector(text, side) for text in texts])
        return vectors * np.float32(np.nan) if self.broken else vectors

    def vector(self, text: str, side: Side) -> Vectors:
        """What `encode` makes of one text."""
        seed = blake2b(f"{self.name}|{side}|{text}".encode(), digest_size=8).digest()
        drawn = np.random.default_rng(int.from_bytes(seed, "big")).normal(size=DIMENSION)
        return (drawn / np.linalg.norm(drawn)).astype(np.float32)


class WordReranker:
    """Scores the share of the query's words that a document has."""

    name = "reranker-1"

    def score(self, query: str, documents: Sequence[str]) -> list[float]:
        words = set(query.split())
        return [len(words & set(document.split())) / len(words) for document in documents]


def generation(
    query: Encoder, document: Encoder | None = None, reranker: Reranker | None = None
) -> InService:
    """`query` promoted over the base model `document`; alone, it is the base model."""
    base = document or query
    model = "base/model" if document is None else "model-1"
    return InService(model, "base/model", base.fingerprint, query, base, SINCE, reranker)


@dataclass(frozen=True)
class FixedFollower:
    """Follows nothing: one generation for ever."""

    generation: InService

    def current(self) -> InService:
        return self.generation

    def serving(self, query_id: str | None) -> InService:
        return self.generation

    def state(self) -> FollowState:
        return FollowState(ready=True)


@dataclass
class Switch:
    """A follower whose generation a test changes."""

    now: InService

    def current(self) -> InService:
        return self.now

    def serving(self, query_id: str | None) -> InService:
        return self.now

    def state(self) -> FollowState:
        return FollowState(ready=True)


@dataclass(frozen=True)
class ServedApp:
    """The application, asked without a socket."""

    client: httpx.AsyncClient
    telemetry: Telemetry
    in_turn: EncodeFew


@asynccontextmanager
async def served(follower: Follower, **settings: Any) -> AsyncIterator[ServedApp]:
    """The application of what `follower` says, for the block."""
    telemetry = Telemetry("server")
    app = create_app(load(ServingSettings, **settings), follower, telemetry)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://server", timeout=60
        ) as client,
    ):
        yield ServedApp(client, telemetry, app.state.encode_thread.in_turn)
