"""The adapter that a URL asks for."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from ragwheel.reembed.indexes.contracts import Index
from ragwheel.schemas.errors import ConfigError
from ragwheel.schemas.secrets import StoreUrl

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,39}")


def open_index(url: StoreUrl) -> Index:
    """Open the name in the store that `url` says: `scheme://user:password@host/path#name`.

    Raises:
        ConfigError: no such scheme, or no name; the message shows no credentials.
        DependencyError: the store's driver is not installed; names the extra.
        UnavailableError: the store does not answer.
    """
    opener = _OPENERS.get(url.scheme)
    if opener is None:
        known = ", ".join(_OPENERS)
        raise ConfigError(
            f"RAGWHEEL_VECTOR_STORE: {url.scheme or 'a URL without'}:// is no store that ragwheel "
            f"knows (known: {known}); such as postgresql://user:password@host/database#chunks"
        )
    if not _NAME.fullmatch(url.fragment):
        raise ConfigError(
            f"RAGWHEEL_VECTOR_STORE: {url} names nothing to search: put #NAME of the table, "
            "collection or alias behind it (letters, digits, _ and -, 40 at most)"
        )
    return opener(url)


def _postgres(url: StoreUrl) -> Index:
    from ragwheel.reembed.indexes.pgvector import PgvectorIndex

    return PgvectorIndex(url)


def _qdrant(url: StoreUrl) -> Index:
    from ragwheel.reembed.indexes.qdrant import QdrantIndex

    return QdrantIndex(url)


def _lance(url: StoreUrl) -> Index:
    from ragwheel.reembed.indexes.lance import LanceIndex

    return LanceIndex(url)


def _opensearch(url: StoreUrl) -> Index:
    from ragwheel.reembed.indexes.opensearch import SearchEngineIndex

    return SearchEngineIndex(url)


def _milvus(url: StoreUrl) -> Index:
    from ragwheel.reembed.indexes.milvus import MilvusIndex

    return MilvusIndex(url)


_OPENERS: Mapping[str, Callable[[StoreUrl], Index]] = {
    "postgresql": _postgres,
    "postgres": _postgres,
    "qdrant": _qdrant,
    "qdrant+https": _qdrant,
    "qdrant+path": _qdrant,
    "lancedb": _lance,
    "lancedb+s3": _lance,
    "lancedb+gs": _lance,
    "lancedb+az": _lance,
    "opensearch+https": _opensearch,
    "opensearch+http": _opensearch,
    "elasticsearch+https": _opensearch,
    "elasticsearch+http": _opensearch,
    "milvus+https": _milvus,
    "milvus+http": _milvus,
}
