"""LlamaIndex's `BaseEmbedding`: its methods know the role, so it is never lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ragwheel.schemas.errors import DependencyError

if TYPE_CHECKING:
    from ragwheel.serving.query_encoder import QueryEncoder

try:
    # Types of a framework that no group of ours installs.
    from llama_index.core.base.embeddings.base import (  # type: ignore[import-not-found]
        BaseEmbedding as _BaseEmbedding,
    )
    from llama_index.core.bridge.pydantic import PrivateAttr  # type: ignore[import-not-found]
except ImportError:
    raise DependencyError("llama-index-core", "pip install llama-index-core") from None

_Base: Any = _BaseEmbedding


class RagwheelEmbedding(_Base):  # type: ignore[misc] # the framework is no dependency of ours
    """Queries by whatever is promoted, documents by the model that embedded the index."""

    _encoder: Any = PrivateAttr()
    _store_fingerprint: str = PrivateAttr()

    def __init__(self, encoder: QueryEncoder, store_fingerprint: str = "", **kwargs: Any) -> None:
        """Borrows the encoder.

        Args:
            store_fingerprint: of the vectors in the store that is searched; vectors are refused
                while they do not compare with it. Empty: not checked here.
            kwargs: LlamaIndex's own.
        """
        super().__init__(model_name="ragwheel", **kwargs)
        self._encoder = encoder
        self._store_fingerprint = store_fingerprint

    def _get_query_embedding(self, query: str) -> list[float]:
        [vector] = self._encoder.encode_queries([query], store=self._store_fingerprint)
        return [float(value) for value in vector]

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_query_embedding(query)

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._get_text_embeddings([text])[0]

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        vectors = self._encoder.encode_documents(texts, store=self._store_fingerprint)
        return [[float(value) for value in vector] for vector in vectors]
