"""LangChain's `Embeddings`: its two methods know the role, so it is never lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ragwheel.schemas.errors import DependencyError

if TYPE_CHECKING:
    from ragwheel.serving.query_encoder import QueryEncoder

try:
    # Types of a framework that no group of ours installs.
    from langchain_core.embeddings import (  # type: ignore[import-not-found]
        Embeddings as _Embeddings,
    )
except ImportError:
    raise DependencyError("langchain-core", "pip install langchain-core") from None

_Base: Any = _Embeddings


class RagwheelEmbeddings(_Base):  # type: ignore[misc] # the framework is no dependency of ours
    """Queries by whatever is promoted, documents by the model that embedded the index."""

    def __init__(self, encoder: QueryEncoder, store_fingerprint: str = "") -> None:
        """Borrows the encoder.

        Args:
            store_fingerprint: of the vectors in the store that is searched; queries are refused
                while they do not compare with it. Empty: not checked here.
        """
        self._encoder = encoder
        self._store_fingerprint = store_fingerprint

    def embed_query(self, text: str) -> list[float]:
        """The vector of a query.

        Raises:
            OtherDocumentsError: the store holds vectors of another space.
        """
        return _lists(self._encoder.encode_queries([text], store=self._store_fingerprint))[0]

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Vectors of documents.

        Raises:
            OtherDocumentsError: the store holds vectors of another space.
        """
        return _lists(self._encoder.encode_documents(texts, store=self._store_fingerprint))


def _lists(vectors: Any) -> list[list[float]]:
    return [[float(value) for value in vector] for vector in vectors]
