"""OpenSearch and Elasticsearch: an index per build, and an alias that services search.

They differ in how a field of vectors is declared and searched; all else is one API:
https://docs.opensearch.org/latest/api-reference/ and
https://www.elastic.co/docs/api/doc/elasticsearch/.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

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

try:
    from ragwheel.reembed.indexes.json_wire import StoreWire
except ImportError:
    raise DependencyError("httpx", "pip install 'ragwheel[opensearch]'") from None

_FINGERPRINT = "ragwheel_document_fingerprint"
_DOCUMENTS_AT_ONCE = 256
#: What an engine says of an index on its own, and takes from nobody.
_ENGINES_OWN = ("uuid", "version", "creation_date", "provided_name", "history", "resize", "blocks")
#: Of one document in a bulk: not now. Other failures stay, however often it is sent.
_LATER = (408, 429)
_OPENSEARCH = {
    "type": "knn_vector",
    "method": {"name": "hnsw", "engine": "lucene", "space_type": "cosinesimil"},
}
_ELASTICSEARCH = {"type": "dense_vector", "index": True, "similarity": "cosine"}


class SearchEngineIndex:
    """`opensearch+https://user:password@host:9200#alias`, `elasticsearch+https://key@host#alias`."""

    def __init__(self, url: StoreUrl) -> None:
        """Connects; nothing is sent yet."""
        self._elastic = url.scheme.startswith("elasticsearch")
        user, key = url.credentials()
        word = "ApiKey" if self._elastic else "Bearer"
        alone = {"Authorization": f"{word} {key}"} if key and not user else None
        self._wire = StoreWire(url, alone)
        self._alias, self.display = url.fragment, str(url)

    def create(self, build: IndexBuild) -> None:
        """See `Index`."""
        if (stored := self._stored(build.physical)) is not None:
            check_made(build, stored)
            return
        width = "dims" if self._elastic else "dimension"
        kind: dict[str, Any] = _ELASTICSEARCH if self._elastic else _OPENSEARCH
        settings: dict[str, Any] = {} if self._elastic else {"knn": True}
        mappings: dict[str, Any] = {
            "properties": {
                "chunk_hash": {"type": "keyword"},
                "text": {"type": "text"},
                "embedding": {**kind, width: build.dimension},
            }
        }
        if build.like:
            old = self._wire.ask("GET", f"/{build.like}")[build.like]
            mappings, settings = old["mappings"], old["settings"]["index"]
            settings = {name: settings[name] for name in settings if name not in _ENGINES_OWN}
            field = _vector(build.like, mappings)
            mappings["properties"][field][width] = build.dimension
        meta = {**mappings.get("_meta", {}), _FINGERPRINT: build.fingerprint}
        body = {"settings": {"index": settings}, "mappings": {**mappings, "_meta": meta}}
        self._wire.ask("PUT", f"/{build.physical}", body)

    def upsert(
        self, build: IndexBuild, points: Points, gone: Sequence[str] = ()
    ) -> Mapping[str, str]:
        """See `Index`."""
        check_space(build, points.vectors)
        mappings = self._mappings(build)
        field, properties = _vector(build.physical, mappings), mappings["properties"]
        source = source_of(build, self.serving())
        refused: dict[str, str] = {}
        for start in range(0, len(points.ids), _DOCUMENTS_AT_ONCE):
            rows = range(start, min(start + _DOCUMENTS_AT_ONCE, len(points.ids)))
            old = self._sources(source, [points.ids[row] for row in rows])
            actions: list[tuple[str, str, dict[str, Any] | None]] = []
            for row in rows:
                chunk_id = points.ids[row]
                if build.like and chunk_id not in old:
                    refused[chunk_id] = not_in(source)
                    continue
                said = old.get(chunk_id, {})
                said[field] = points.vectors.vectors[row].tolist()
                if "chunk_hash" in properties:
                    said["chunk_hash"] = points.hashes[row]
                if points.texts is not None and "text" in properties:
                    said["text"] = points.texts[row]
                actions.append(("index", chunk_id, said))
            refused |= self._bulk(build.physical, actions)
        self._bulk(build.physical, [("delete", each, None) for each in gone])
        return refused

    def verify(self, build: IndexBuild, queries: SpaceVectors | None, depth: int = 10) -> Holding:
        """See `Index`."""
        if queries is not None:
            check_space(build, queries)
        field = _vector(build.physical, self._mappings(build))
        self._wire.ask("POST", f"/{build.physical}/_refresh")
        count = self._wire.ask("GET", f"/{build.physical}/_count")["count"]
        hits = []
        for query in () if queries is None else queries.vectors:
            search = self._search(field, query.tolist(), depth)
            answer = self._wire.ask("POST", f"/{build.physical}/_search", search)
            hits.append([str(each["_id"]) for each in answer["hits"]["hits"]])
        return Holding(int(count), hits)

    def point(self, build: IndexBuild, before: str) -> None:
        """See `Index`; one list of actions, which the engine applies as one or not at all."""
        now, terms = self._led()
        if now == build.physical:
            return
        check_move(self._alias, now, before)
        self._mappings(build)
        # Whoever moved it since we looked makes the whole list fail.
        remove = {"remove": {"index": now, "alias": self._alias, "must_exist": True}}
        add = {"add": {"index": build.physical, "alias": self._alias, **terms}}
        actions = [remove, add] if now else [add]
        answer = self._wire.ask("POST", "/_aliases", {"actions": actions})
        if not answer.get("acknowledged"):
            raise UnavailableError(
                self._wire.said("not every node knows of the switch yet: try again")
            )

    def drop(self, build: IndexBuild) -> None:
        """See `Index`."""
        check_droppable(build, self.serving())
        if (stored := self._stored(build.physical)) is not None:
            check_stored(build, stored)
            self._wire.ask("DELETE", f"/{build.physical}", missing=True)

    def serving(self) -> str:
        """See `Index`."""
        return self._led()[0]

    def close(self) -> None:
        """See `Index`."""
        self._wire.close()

    def _led(self) -> tuple[str, dict[str, Any]]:
        """The index that the alias leads to, and the terms (filter, routing …) it does so on."""
        found = self._wire.ask("GET", f"/_alias/{self._alias}", missing=True) or {}
        if len(found) > 1:
            raise IndexRefusedError(
                f"{self._alias} leads to {len(found)} indexes ({', '.join(sorted(found))}): "
                "ragwheel moves an alias of one"
            )
        for name, what in found.items():
            return name, what["aliases"][self._alias]
        if self._wire.ask("GET", f"/{self._alias}", missing=True):
            raise IndexRefusedError(
                f"{self._alias} is an index, and takes the name of none: clone it, put an alias "
                "of its name in its place (_aliases with remove_index and add), and try again"
            )
        return "", {}

    def _search(self, field: str, query: list[float], depth: int) -> dict[str, Any]:
        base = {"size": depth, "_source": False}
        if self._elastic:
            near = {"query_vector": query, "k": depth, "num_candidates": max(100, 2 * depth)}
            return {**base, "knn": {"field": field, **near}}
        return {**base, "query": {"knn": {field: {"vector": query, "k": depth}}}}

    def _sources(self, index: str, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """What an index says of these, as far as it has them."""
        found = self._wire.ask("POST", f"/{index}/_mget", {"ids": list(ids)})["docs"]
        return {each["_id"]: each["_source"] for each in found if each.get("found")}

    def _bulk(
        self, physical: str, actions: Sequence[tuple[str, str, dict[str, Any] | None]]
    ) -> dict[str, str]:
        """Send writes past the index's ingest pipeline, which may embed by a model of its own.

        Returns:
            Documents that the engine does not take, with its reason.
        """
        if not actions:
            return {}
        lines = [
            part
            for verb, chunk_id, source in actions
            for part in ({verb: {"_id": chunk_id}}, source)
            if part is not None
        ]
        content = "".join(json.dumps(each) + "\n" for each in lines)
        answer = self._wire.ask("POST", f"/{physical}/_bulk?pipeline=_none", content=content)
        refused = {}
        for each in answer["items"]:
            ((verb, result),) = each.items()
            if "error" not in result or (verb == "delete" and result["status"] == 404):
                continue
            reason = f"{result['error'].get('type')}: {result['error'].get('reason')}"
            if result["status"] in _LATER or result["status"] >= 500:
                raise UnavailableError(self._wire.said(reason))
            refused[result["_id"]] = reason[:300]
        return refused

    def _mappings(self, build: IndexBuild) -> dict[str, Any]:
        """What the build's fields are, once its fingerprint is the right one."""
        check_stored(build, self._stored(build.physical))
        found = self._wire.ask("GET", f"/{build.physical}/_mapping")
        mappings: dict[str, Any] = found[build.physical]["mappings"]
        return mappings

    def _stored(self, physical: str) -> str | None:
        found = self._wire.ask("GET", f"/{physical}/_mapping", missing=True) or {}
        if physical not in found:  # none, or an alias of that name
            return None
        return str(found[physical]["mappings"].get("_meta", {}).get(_FINGERPRINT, ""))


def _vector(index: str, mappings: Mapping[str, Any]) -> str:
    """The one field of vectors."""
    found = [
        name
        for name, field in mappings.get("properties", {}).items()
        if field.get("type") in ("knn_vector", "dense_vector")
    ]
    if len(found) != 1:
        raise IndexRefusedError(
            f"{index} has {len(found)} fields of vectors at its top level: one is needed, of one "
            "model"
        )
    return str(found[0])
