"""Qdrant: a collection per build, and an alias that services search.

Qdrant's ids are integers and UUIDs: other chunk ids get a UUID made of them (`point_id`), and the
payload has the chunk id itself as `chunk_id`.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid5

from ragwheel.reembed.indexes.contracts import (
    Holding,
    IndexBuild,
    IndexRefusedError,
    Points,
    SpaceVectors,
    check_droppable,
    check_made,
    check_move,
    check_space,
    check_stored,
    not_in,
    source_of,
)
from ragwheel.schemas.errors import DependencyError, UnavailableError
from ragwheel.schemas.secrets import StoreUrl

_SPACE = UUID("7a6c3f8e-5d0b-4f6e-9b8a-2f1f0c9d4e11")
_FINGERPRINT = "document_fingerprint"
_POINTS_AT_ONCE = 256
_INDEX_PAUSE_S, _INDEX_TRIES = 0.5, 1_200


class QdrantIndex:
    """`qdrant://host:6333#alias`, `qdrant+https://key@host#alias`, `qdrant+path:///folder#alias`."""

    def __init__(self, url: StoreUrl) -> None:
        """Connects; nothing is sent yet."""
        try:
            from qdrant_client import QdrantClient, models
            from qdrant_client.http.exceptions import ApiException, UnexpectedResponse
        except ImportError:
            raise DependencyError("qdrant-client", "pip install 'ragwheel[qdrant]'") from None
        self._models, self._url = models, url
        self._no, self._away = (UnexpectedResponse, ValueError), (ApiException, OSError)
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
                check_made(build, stored)
            else:
                self._db.create_collection(
                    build.physical,
                    **self._configured(build),
                    metadata={_FINGERPRINT: build.fingerprint},
                )
            if build.like and self._db.collection_exists(build.like):
                had = self._db.get_collection(build.like).payload_schema
                has = self._db.get_collection(build.physical).payload_schema
                for name in set(had) - set(has):  # a service filters by these
                    schema = had[name].params or had[name].data_type
                    self._db.create_payload_index(build.physical, name, schema, wait=True)

    def upsert(
        self, build: IndexBuild, points: Points, gone: Sequence[str] = ()
    ) -> Mapping[str, str]:
        """See `Index`."""
        check_space(build, points.vectors)
        with self._answering():
            check_stored(build, self._stored(build.physical))
            name, others = self._vectors(build.physical)
            refused, made = {}, []
            source = source_of(build, self.serving())
            old = self._old(source, points.ids, others)
            for row, chunk_id in enumerate(points.ids):
                if build.like and point_id(chunk_id) not in old:
                    refused[chunk_id] = not_in(source)
                    continue
                payload, kept = old.get(point_id(chunk_id), ({}, {}))
                payload |= {"chunk_id": chunk_id, "chunk_hash": points.hashes[row]}
                if points.texts is not None:
                    payload["text"] = points.texts[row]
                vector: Any = points.vectors.vectors[row].tolist()
                if name or kept:
                    vector = {name: vector, **kept}
                made.append(
                    self._models.PointStruct(id=point_id(chunk_id), vector=vector, payload=payload)
                )
            for start in range(0, len(made), _POINTS_AT_ONCE):
                self._db.upsert(build.physical, made[start : start + _POINTS_AT_ONCE], wait=True)
            if gone:
                ids: list[Any] = [point_id(each) for each in gone]
                self._db.delete(build.physical, self._models.PointIdsList(points=ids), wait=True)
        return refused

    def verify(self, build: IndexBuild, queries: SpaceVectors | None, depth: int = 10) -> Holding:
        """See `Index`."""
        if queries is not None:
            check_space(build, queries)
        with self._answering():
            check_stored(build, self._stored(build.physical))
            self._wait_for_the_index(build)
            count = self._db.count(build.physical, exact=True).count
            name, _ = self._vectors(build.physical)
            answers = [
                self._db.query_points(
                    build.physical, query=query.tolist(), using=name or None, limit=depth
                ).points
                for query in ([] if queries is None else queries.vectors)
            ]
        hits = [
            [str((point.payload or {}).get("chunk_id", point.id)) for point in points]
            for points in answers
        ]
        return Holding(count, hits)

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

    def _configured(self, build: IndexBuild) -> dict[str, Any]:
        """How to make the collection: all that can be said of one as the replaced one says it."""
        m = self._models
        if not build.like:
            plain = m.VectorParams(size=build.dimension, distance=m.Distance.COSINE)
            return {"vectors_config": plain}
        config = self._db.get_collection(build.like).config
        params, (name, _) = config.params, self._vectors(build.like)
        old: Any = params.vectors
        dense = (old[name] if name else old).model_copy(update={"size": build.dimension})
        taken = {
            "vectors_config": {name: dense} if name else dense,
            "sparse_vectors_config": params.sparse_vectors,
            "quantization_config": config.quantization_config,
            "hnsw_config": config.hnsw_config
            and m.HnswConfigDiff(**config.hnsw_config.model_dump()),
            "on_disk_payload": params.on_disk_payload,
            "shard_number": params.shard_number,
            "replication_factor": params.replication_factor,
        }
        return {key: value for key, value in taken.items() if value is not None}

    def _wait_for_the_index(self, build: IndexBuild) -> None:
        """Until then searches of what was written last go through all of it."""
        for _ in range(_INDEX_TRIES):
            if self._db.get_collection(build.physical).status != "yellow":
                return
            time.sleep(_INDEX_PAUSE_S)
        raise UnavailableError(f"{self.display}: {build.physical} is still being indexed")

    def _vectors(self, collection: str) -> tuple[str, list[str]]:
        """The dense vector's name, empty for the one without, and the sparse ones' names."""
        params = self._db.get_collection(collection).config.params
        named = params.vectors if isinstance(params.vectors, dict) else {"": params.vectors}
        many = [name for name, each in named.items() if each and each.multivector_config]
        if len(named) != 1 or many:
            raise IndexRefusedError(
                f"{collection} has {len(named)} dense vectors a point ({', '.join(named)}), "
                f"{len(many)} of them of many rows: one is needed, of one row and one model"
            )
        dense = list(named)
        return dense[0], list(params.sparse_vectors or {})

    def _old(
        self, source: str, ids: Sequence[str], sparse: list[str]
    ) -> dict[Any, tuple[dict[str, Any], dict[str, Any]]]:
        """Payload and sparse vectors of these chunks, where services write them."""
        wanted: list[Any] = [point_id(each) for each in ids]
        found = self._db.retrieve(source, wanted, with_payload=True, with_vectors=sparse)
        return {
            point.id: (
                dict(point.payload or {}),
                dict(point.vector) if isinstance(point.vector, dict) else {},
            )
            for point in found
        }

    def _stored(self, collection: str) -> str | None:
        if not self._db.collection_exists(collection):
            return None
        metadata = self._db.get_collection(collection).config.metadata or {}
        return str(metadata.get(_FINGERPRINT, ""))

    @contextmanager
    def _answering(self) -> Iterator[None]:
        try:
            yield
        except self._no as error:
            status = getattr(error, "status_code", 400)
            later = status in (408, 429) or status >= 500
            raise (UnavailableError if later else IndexRefusedError)(self._said(error)) from None
        except self._away as error:
            raise UnavailableError(self._said(error)) from None

    def _said(self, error: Exception) -> str:
        said = " ".join(str(error).split()) or type(error).__name__
        return f"{self.display}: Qdrant says: {self._url.hide(said)[:300]}"


def point_id(chunk_id: str) -> int | str:
    """Qdrant's id of a chunk: itself if it is an integer or a UUID, else a UUID made of it."""
    if re.fullmatch(r"0|[1-9][0-9]{0,19}", chunk_id) and int(chunk_id) < 2**64:
        return int(chunk_id)
    try:
        return str(UUID(chunk_id))
    except ValueError:
        return str(uuid5(_SPACE, chunk_id))
