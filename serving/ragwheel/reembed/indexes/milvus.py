"""Milvus and Zilliz Cloud: a collection per build, and an alias that services search.

Over Milvus's RESTful API v2: https://milvus.io/api-reference/restful/v2.6.x/About.md. The
collection's description holds the fingerprint.
"""

from __future__ import annotations

import json
import time
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
from ragwheel.reembed.indexes.milvus_schema import (
    declared,
    key_of,
    typed_id,
    vector_index,
    vector_of,
)
from ragwheel.schemas.errors import DependencyError, UnavailableError
from ragwheel.schemas.secrets import StoreUrl

try:
    from ragwheel.reembed.indexes.json_wire import StoreWire
except ImportError:
    raise DependencyError("httpx", "pip install 'ragwheel[milvus]'") from None

_MADE = "ragwheel vectors of "
_ROWS_AT_ONCE = 256
#: Milvus's bounds of an id, and of what is kept beside the declared fields; bytes.
_MAX_ID, _MAX_BESIDE = 512, 65_000
_LOAD_PAUSE_S, _LOAD_TRIES = 0.5, 1_200
#: Codes of answers, by version; the last are of a service that is not ready or busy:
#: https://github.com/milvus-io/milvus/blob/master/pkg/util/merr/errors.go
_FINE, _NO_COLLECTION, _NO_ALIAS, _OF_SERVICE = (0, 200), (100,), (100, 1600), range(1, 100)


class MilvusIndex:
    """`milvus+https://user:password@host:19530/database#alias`; a token alone goes before `@`."""

    def __init__(self, url: StoreUrl) -> None:
        """Connects; nothing is sent yet."""
        token = ":".join(each for each in url.credentials() if each)
        headers = {"Accept-Type-Allow-Int64": "true"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        host, _, database = url.where.partition("/")
        self._wire = StoreWire(url, headers, where=host)
        self._database = {"dbName": database} if database else {}
        self._alias, self.display = url.fragment, str(url)

    def create(self, build: IndexBuild) -> None:
        """See `Index`."""
        if (stored := self._stored(build.physical)) is not None:
            check_made(build, stored)
            self._load(build)
            return
        fields: list[dict[str, Any]] = [
            {"fieldName": "id", "dataType": "VarChar", "isPrimary": True,
             "elementTypeParams": {"max_length": _MAX_ID}},
            {"fieldName": "embedding", "dataType": "FloatVector",
             "elementTypeParams": {"dim": build.dimension}},
        ]  # fmt: skip
        dynamic, indexes = True, [vector_index("embedding", "COSINE")]
        if build.like:
            old = self._fit(build.like)
            fields = [declared(each, build.dimension) for each in old["fields"]]
            dynamic, indexes = old["enableDynamicField"], self._indexes(build.like, old)
        self._ask(
            "collections/create", collectionName=build.physical,
            description=_MADE + build.fingerprint, indexParams=indexes,
            schema={"autoID": False, "enableDynamicField": dynamic, "fields": fields},
        )  # fmt: skip
        if self._stored(build.physical) != build.fingerprint:
            self._ask("collections/drop", collectionName=build.physical)
            raise IndexRefusedError(
                f"{self.display} does not keep the description of a collection, which says whose "
                "vectors it holds: a newer Milvus is needed"
            )
        self._load(build)

    def upsert(
        self, build: IndexBuild, points: Points, gone: Sequence[str] = ()
    ) -> Mapping[str, str]:
        """See `Index`."""
        check_space(build, points.vectors)
        check_stored(build, self._stored(build.physical))
        about = self._fit(build.physical)
        key, vector = key_of(about), vector_of(about)
        places = {each["name"] for each in about["fields"]}
        source = source_of(build, self.serving())
        refused: dict[str, str] = {}
        for start in range(0, len(points.ids), _ROWS_AT_ONCE):
            rows = range(start, min(start + _ROWS_AT_ONCE, len(points.ids)))
            old = self._old(source, key, [points.ids[row] for row in rows])
            data = []
            for row in rows:
                chunk_id = points.ids[row]
                own = {"chunk_hash": points.hashes[row]}
                if points.texts is not None:
                    own["text"] = points.texts[row]
                if about["enableDynamicField"]:
                    places |= own.keys()
                if build.like and chunk_id not in old:
                    refused[chunk_id] = not_in(source)
                elif len(chunk_id.encode()) > _MAX_ID:
                    refused[chunk_id] = f"its id is longer than {_MAX_ID} bytes"
                elif len(own.get("text", "").encode()) > _MAX_BESIDE and "text" in places:
                    refused[chunk_id] = f"its text is longer than {_MAX_BESIDE} bytes"
                else:
                    kept = {name: value for name, value in own.items() if name in places}
                    values = points.vectors.vectors[row].tolist()
                    data.append(
                        {
                            **old.get(chunk_id, {}),
                            **kept,
                            key: typed_id(about, chunk_id),
                            vector: values,
                        }
                    )
            if data:
                self._ask("entities/upsert", collectionName=build.physical, data=data)
        if gone:
            ids = json.dumps([typed_id(about, each) for each in gone], ensure_ascii=False)
            self._ask("entities/delete", collectionName=build.physical, filter=f"{key} in {ids}")
        return refused

    def verify(self, build: IndexBuild, queries: SpaceVectors | None, depth: int = 10) -> Holding:
        """See `Index`; waits until the build is loaded."""
        if queries is not None:
            check_space(build, queries)
        check_stored(build, self._stored(build.physical))
        about = self._fit(build.physical)
        key, vector = key_of(about), vector_of(about)
        self._load(build)
        now: dict[str, Any] = {"collectionName": build.physical, "consistencyLevel": "Strong"}
        count = self._ask("entities/query", filter="", outputFields=["count(*)"], **now)
        hits = [
            self._ask(
                "entities/search", data=[query.tolist()], annsField=vector, limit=depth,
                outputFields=[key], **now,
            )
            for query in (() if queries is None else queries.vectors)
        ]  # fmt: skip
        return Holding(
            int(count[0]["count(*)"]), [[str(row[key]) for row in answer] for answer in hits]
        )

    def point(self, build: IndexBuild, before: str) -> None:
        """See `Index`; Milvus lets an alias lead elsewhere in one step."""
        now = self.serving()
        if now == build.physical:
            return
        check_move(self._alias, now, before)
        check_stored(build, self._stored(build.physical))
        verb = "aliases/alter" if now else "aliases/create"
        self._ask(verb, aliasName=self._alias, collectionName=build.physical)

    def drop(self, build: IndexBuild) -> None:
        """See `Index`."""
        check_droppable(build, self.serving())
        if (stored := self._stored(build.physical)) is not None:
            check_stored(build, stored)
            self._ask("collections/drop", collectionName=build.physical)

    def serving(self) -> str:
        """See `Index`."""
        led = self._ask("aliases/describe", aliasName=self._alias, missing=_NO_ALIAS)
        if led:
            return str(led["collectionName"])
        if self._ask("collections/has", collectionName=self._alias)["has"]:
            raise IndexRefusedError(
                f"{self._alias} is a collection: make an alias for it, let your service search "
                "the alias, and name that behind #"
            )
        return ""

    def close(self) -> None:
        """See `Index`."""
        self._wire.close()

    def _load(self, build: IndexBuild) -> None:
        """Make what a creation that was ended did not, and wait until searches can come."""
        about = self._fit(build.physical)
        vector = vector_of(about)
        if not any(each["fieldName"] == vector for each in about["indexes"]):
            indexes = [vector_index(vector, "COSINE")]
            if build.like:
                indexes = self._indexes(build.like, self._fit(build.like))
            self._ask("indexes/create", collectionName=build.physical, indexParams=indexes)
        self._ask("collections/load", collectionName=build.physical)
        for _ in range(_LOAD_TRIES):
            state = self._ask("collections/get_load_state", collectionName=build.physical)
            if state["loadState"] == "LoadStateLoaded":
                return
            time.sleep(_LOAD_PAUSE_S)
        raise UnavailableError(f"{self.display}: {build.physical} is still being loaded")

    def _fit(self, collection: str) -> dict[str, Any]:
        """What Milvus says of a collection, which has to be such that all of it can be said again.

        Raises:
            IndexRefusedError: something of it cannot; or it is not there.
        """
        about = self._described(collection)
        if about is None:
            raise IndexRefusedError(f"there is no collection {collection} in {self.display}")
        vectors = [each["name"] for each in about["fields"] if each["type"].endswith("Vector")]
        kinds = {each["name"]: each["type"] for each in about["fields"]}
        unfit = [f"function {each['name']}" for each in about.get("functions") or ()]
        unfit += [
            f"default of {each['name']}" for each in about["fields"] if "defaultValue" in each
        ]
        unfit += ["ids that number themselves"] if about.get("autoId") else []
        if len(vectors) != 1 or kinds[vectors[0]] != "FloatVector":
            unfit.append(f"vectors {', '.join(vectors)} where one of type FloatVector is needed")
        if unfit:
            raise IndexRefusedError(
                f"{collection} has what does not go along: {'; '.join(unfit)}; make a collection "
                "without, and let the alias lead there"
            )
        return about

    def _indexes(self, collection: str, about: Mapping[str, Any]) -> list[dict[str, Any]]:
        """How to make the indexes of a collection again, that of vectors as Milvus thinks best."""
        made = []
        for name in self._ask("indexes/list", collectionName=collection):
            (index,) = self._ask("indexes/describe", collectionName=collection, indexName=name)
            if index["fieldName"] == vector_of(about):
                made.append(vector_index(index["fieldName"], index["metricType"]))
            else:
                kept = ("fieldName", "indexName", "indexType")
                made.append({each: index[each] for each in kept})
        return made

    def _old(self, source: str, key: str, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """What a collection says of these, as far as it has them."""
        about = self._fit(source)
        found = self._ask(
            "entities/get", collectionName=source, id=[typed_id(about, each) for each in ids],
            outputFields=["*"], consistencyLevel="Strong",
        )  # fmt: skip
        return {str(row[key]): row for row in found}

    def _stored(self, physical: str) -> str | None:
        about = self._described(physical)
        if about is None or about["collectionName"] != physical:  # none, or an alias of that name
            return None
        said = str(about["description"])
        return said.removeprefix(_MADE) if said.startswith(_MADE) else ""

    def _described(self, collection: str) -> dict[str, Any] | None:
        about: dict[str, Any] | None = self._ask(
            "collections/describe", collectionName=collection, missing=_NO_COLLECTION
        )
        return about

    def _ask(self, verb: str, *, missing: Sequence[int] = (), **body: Any) -> Any:
        """The data of Milvus's answer; None: it has one of the codes `missing`."""
        path = f"/v2/vectordb/{verb}"
        answer = self._wire.ask("POST", path, {**self._database, **body})
        code = answer.get("code")
        if code in _FINE:
            return answer.get("data")
        if code in missing:
            return None
        said = self._wire.said(f"{code} to {verb}: {answer.get('message')}")
        if code is None or code in _OF_SERVICE:
            raise UnavailableError(said)
        raise IndexRefusedError(said)
