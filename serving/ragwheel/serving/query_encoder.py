"""The promoted model inside a service, following promotions as the server does."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock
from typing import Self, TypedDict

from ragwheel.models.encoder import Encoder, Side, Vectors
from ragwheel.schemas.errors import TerminalError
from ragwheel.schemas.loading import load
from ragwheel.schemas.settings import FollowSettings
from ragwheel.serving.contracts import Follower, FollowState, InService
from ragwheel.serving.follow import ModelFollower


class OtherDocumentsError(TerminalError):
    """Vectors of two spaces were about to meet in one store."""


class ServingModel(TypedDict):
    """What a retrieval says of the model that encoded its query."""

    model_id: str
    document_fingerprint: str


class QueryEncoder:
    """Encodes with whatever is promoted. Thread-safe; use as a context manager.

        with QueryEncoder.follow(serving_index="docs") as encoder:
            vectors = encoder.encode_queries(["how do I rotate a key?"])

    The texts of one call are encoded by one model.
    """

    def __init__(self, follower: Follower) -> None:
        """Encodes with what an existing follower says; `follow` makes one."""
        self._follower = follower
        # torch and tokenizers are not safe in several threads.
        self._lock = Lock()

    @classmethod
    def follow(cls, settings: FollowSettings | None = None, **overrides: object) -> Self:
        """Follow what is promoted, with settings from the environment.

        Args:
            overrides: fields of `FollowSettings`, instead of the environment.

        Raises:
            ConfigError: a setting is wrong.
        """
        follower = ModelFollower(settings or load(FollowSettings, **overrides))
        encoder = cls(follower)
        follower.take_turns(encoder._in_turn)
        follower.start()
        return encoder

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Follow no longer."""
        if isinstance(self._follower, ModelFollower):
            self._follower.close()

    def encode_queries(
        self, texts: Sequence[str], query_id: str | None = None, *, store: str = ""
    ) -> Vectors:
        """Unit vectors of queries, shape (texts, dimension).

        Args:
            query_id: decides whether a canary answers; None: what serves.
            store: fingerprint of the vectors in the store that is searched; empty: not checked.

        Raises:
            UnavailableError: nothing serves yet.
            OtherDocumentsError: the store holds vectors of another space.
            VectorError: a text has no usable vector.
        """
        return self._encode(self._follower.serving(query_id), texts, "query", store)

    def encode_documents(self, texts: Sequence[str], *, store: str = "") -> Vectors:
        """Unit vectors of documents, in the space that queries are compared with.

        Raises:
            UnavailableError, OtherDocumentsError, VectorError: as `encode_queries`.
        """
        return self._encode(self._follower.current(), texts, "document", store)

    def served(self, query_id: str | None = None) -> ServingModel:
        """What a retrieval says of the model: `query.retrieved(hits, **encoder.served())`."""
        generation = self._follower.serving(query_id)
        return {
            "model_id": generation.model_id,
            "document_fingerprint": generation.document_fingerprint,
        }

    def state(self) -> FollowState:
        """How following stands."""
        return self._follower.state()

    def _in_turn(self, encoder: Encoder, texts: Sequence[str], side: Side) -> Vectors:
        with self._lock:
            return encoder.encode(texts, side)

    def _encode(
        self, generation: InService, texts: Sequence[str], side: Side, store: str
    ) -> Vectors:
        if store and store != generation.document_fingerprint:
            raise OtherDocumentsError(
                f"the store holds vectors of space {store!r}, and those of "
                f"{generation.model_id} are of {generation.document_fingerprint!r}: vectors of two "
                "spaces do not compare, whatever their dimension. Re-embed the store (`ragwheel "
                "reembed plan`), or follow the model that it was made for"
            )
        with self._lock:
            return generation.encoder(side).encode(list(texts), side)
