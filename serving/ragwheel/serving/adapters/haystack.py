"""Haystack's text and document embedders: one component for each role."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ragwheel.schemas.errors import DependencyError

if TYPE_CHECKING:
    from ragwheel.serving.query_encoder import QueryEncoder

try:
    # Types of a framework that no group of ours installs.
    from haystack import Document, component  # type: ignore[import-not-found]
except ImportError:
    raise DependencyError("haystack-ai", "pip install haystack-ai") from None

_component: Any = component


@_component
class RagwheelTextEmbedder:
    """Embeds a query by whatever is promoted."""

    def __init__(self, encoder: QueryEncoder, store_fingerprint: str = "") -> None:
        """Borrows the encoder.

        Args:
            store_fingerprint: of the vectors in the store that is searched; queries are refused
                while they do not compare with it. Empty: not checked here.
        """
        self._encoder = encoder
        self._store_fingerprint = store_fingerprint

    @_component.output_types(embedding=list[float])  # type: ignore[untyped-decorator] # Haystack's
    def run(self, text: str) -> dict[str, list[float]]:
        """The vector of `text` under `embedding`."""
        [vector] = self._encoder.encode_queries([text], store=self._store_fingerprint)
        return {"embedding": [float(value) for value in vector]}


@_component
class RagwheelDocumentEmbedder:
    """Embeds documents by the model that embedded the index."""

    def __init__(self, encoder: QueryEncoder, store_fingerprint: str = "") -> None:
        """See `RagwheelTextEmbedder`."""
        self._encoder = encoder
        self._store_fingerprint = store_fingerprint

    @_component.output_types(documents=list[Document])  # type: ignore[untyped-decorator] # Haystack's
    def run(self, documents: list[Any]) -> dict[str, list[Any]]:
        """The documents with their vectors, under `documents`."""
        texts = [each.content or "" for each in documents]
        vectors = self._encoder.encode_documents(texts, store=self._store_fingerprint)
        return {
            "documents": [
                replace(each, embedding=[float(value) for value in vector])
                for each, vector in zip(documents, vectors, strict=True)
            ]
        }
