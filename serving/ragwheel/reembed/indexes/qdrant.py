"""Qdrant: a collection per build, and an alias that services search.

Qdrant's ids are integers and UUIDs: other chunk ids get a UUID made of them (`point_id`), and the
payload has the chunk id itself as `chunk_id`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid5

from ragwheel.reembed.indexes.contracts import (
    Found,
    IndexBuild,
    IndexRefusedError,
    Points,
    SpaceVectors,
    check_droppable,
    check_move,
    check_space,
    check_stored,
)
from ragwheel.schemas.errors import DependencyError, UnavailableError
from ragwheel.schemas.secrets import StoreUrl

_SPACE = UUID("7a6c3f8e-5d0b-4f6e-9b8a-2f1f0c9d4e11")
_FINGERPRINT = "document_fingerprint"
_POINTS_AT_ONCE = 256


class QdrantIndex:
    """`qdrant://host:6333#alias`, `qdrant+https://key@host#alias`, `qdrant+path:///folder#alias`."""

    def __init__(self, url: StoreUrl) -> None:
        """Connects; nothing is sent yet."""
        try:
            from qdrant_client import QdrantClient, models
            from qdrant_client.http.exceptions import ApiException
        except ImportError:
            raise DependencyError("qdrant-client", "pip install 'ragwheel[qdrant]'") from None
        self._models, self._errors = models, (ApiException, OSError)
        self._alias, self.display = url.fragment, str(url)
        if url.scheme == "qdrant+path":
            try:
                self._db = QdrantClient(path=url.where, force_disable_check_same_thread=True)
            except RuntimeError as error:
                raise UnavailableError(
                    f"{url} is open in another process ({str(error)[:100]}): end it first"
                ) from None
        else:
            web = "https" if url.scheme.endswith("https") else "http"
            self._db = QdrantClient(
                url=f"{web}://{url.where}", api_key=url.credentials()[1] or None,
                check_compatibility=False, timeout=60,
            )  # fmt: skip

    def create(self, build: IndexBuild) -> None:
        """See `Index`."""
        with self._answering():
            if (stored := self._stored(build.physical)) is not None:
                check_stored(build, stored)
                return
            self._db.create_collection(
                build.physical,
                vectors_config=self._models.VectorParams(
                    size=build.dimension, distance=self._models.Distance.COSINE
                ),
                metadata={_FINGERPRINT: build.fingerprint},
            )

    def upsert(
        self, build: IndexBuild, points: Points, gone: Sequence[str] = ()
    ) -> Mapping[str, str]:
        """See `Index`."""
        check_space(build, points.vectors)
        with self._answering():
            check_stored(build, self._stored(build.physical))
            payloads = self._payloads(build.like, points.ids)
            made = []
            for row, chunk_id in enumerate(points.ids):
                payload = payloads.get(point_id(chunk_id), {})
                payload |= {"chunk_id": chunk_id, "chunk_hash": points.hashes[row]}
                if points.texts is not None:
                    payload["text"] = points.texts[row]
                vector = points.vectors.vectors[row].tolist()
                made.append(
                    self._models.PointStruct(id=point_id(chunk_id), vector=vector, payload=payload)
                )
            for start in range(0, len(made), _POINTS_AT_ONCE):
                self._db.upsert(build.physical, made[start : start + _POINTS_AT_ONCE], wait=True)
            if gone:
                ids: list[Any] = [point_id(each) for each in gone]
                self._db.delete(build.physical, self._models.PointIdsList(points=ids), wait=True)
        return {}

    def verify(self, build: IndexBuild, queries: SpaceVectors | None, depth: int = 10) -> Found:
        """See `Index`."""
        if queries is not None:
            check_space(build, queries)
        with self._answering():
            check_stored(build, self._stored(build.physical))
            count = self._db.count(build.physical, exact=True).count
            answers = [
                self._db.query_points(build.physical, query=query.tolist(), limit=depth).points
                for query in ([] if queries is None else queries.vectors)
            ]
        hits = [
            [str((point.payload or {}).get("chunk_id", point.id)) for point in points]
            for points in answers
        ]
        return Found(count, hits)

    def point(self, build: IndexBuild, before: str) -> None:
        """See `Index`; one list of actions, which Qdrant applies as one."""
        with self._answering():
            now = self.serving()
            if now == build.physical:
                return
            check_move(self._alias, now, before)
            check_stored(build, self._stored(build.physical))
            m = self._models
            make = m.CreateAliasOperation(
                create_alias=m.CreateAlias(collection_name=build.physical, alias_name=self._alias)
            )
            remove = m.DeleteAliasOperation(delete_alias=m.DeleteAlias(alias_name=self._alias))
            self._db.update_collection_aliases([remove, make] if now else [make])

    def drop(self, build: IndexBuild) -> None:
        """See `Index`."""
        with self._answering():
            check_droppable(build, self.serving())
            if (stored := self._stored(build.physical)) is not None:
                check_stored(build, stored)
                self._db.delete_collection(build.physical)

    def serving(self) -> str:
        """See `Index`."""
        with self._answering():
            for each in self._db.get_aliases().aliases:
                if each.alias_name == self._alias:
                    return str(each.collection_name)
            if self._db.collection_exists(self._alias):
                raise IndexRefusedError(
                    f"{self._alias} is a collection, and Qdrant renames none: make an alias for "
                    "it, let your service search the alias, and name that behind #"
                )
        return ""

    def close(self) -> None:
        """See `Index`."""
        self._db.close()

    def _payloads(self, like: str, ids: Sequence[str]) -> dict[Any, dict[str, Any]]:
        """What the build that is replaced keeps beside these vectors, by point id."""
        if not like:
            return {}
        wanted: list[Any] = [point_id(each) for each in ids]
        found = self._db.retrieve(like, wanted, with_payload=True)
        return {point.id: dict(point.payload or {}) for point in found}

    def _stored(self, collection: str) -> str | None:
        if not self._db.collection_exists(collection):
            return None
        metadata = self._db.get_collection(collection).config.metadata or {}
        return str(metadata.get(_FINGERPRINT, ""))

    @contextmanager
    def _answering(self) -> Iterator[None]:
        try:
            yield
        except self._errors as error:
            said = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
            raise UnavailableError(f"{self.display}: Qdrant says: {said}") from None


def point_id(chunk_id: str) -> int | str:
    """Qdrant's id of a chunk: itself if it is an integer or a UUID, else a UUID made of it."""
    if chunk_id.isascii() and chunk_id.isdigit() and str(int(chunk_id)) == chunk_id:
        return int(chunk_id)
    try:
        return str(UUID(chunk_id))
    except ValueError:
        return str(uuid5(_SPACE, chunk_id))
