"""The wire of OpenSearch and Elasticsearch, as far as ragwheel and a service that searches use it.

What a write is found by only after a refresh, what one document of a bulk may fail by, and that a
list of alias actions happens as a whole or not at all: as both document it.
"""

from __future__ import annotations

import base64
import copy
import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import numpy as np

USER, PASSWORD = "me", "hu:sh@"
BASIC = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
ASIDE = "ApiKey hush"


class EngineError(Exception):
    """An answer that is no."""

    def __init__(self, status: int, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.status, self.body = status, {"error": {"type": kind, "reason": reason}}


@dataclass
class FakeIndex:
    """One index: documents as written, and as a search finds them."""

    body: dict[str, Any]
    written: dict[str, dict[str, Any]] = field(default_factory=dict)
    found: dict[str, dict[str, Any]] = field(default_factory=dict)

    def vector(self) -> tuple[str, int]:
        """Name and width."""
        for name, each in self.body["mappings"].get("properties", {}).items():
            if each["type"] in ("knn_vector", "dense_vector"):
                return name, each["dimension" if each["type"] == "knn_vector" else "dims"]
        return "", 0


class FakeSearchEngine:
    """OpenSearch, or Elasticsearch if `elastic`.

    Attributes:
        busy: statuses that the next requests of a path ending so get instead of an answer.
    """

    def __init__(self, elastic: bool) -> None:
        self.indexes: dict[str, FakeIndex] = {}
        self.aliases: dict[str, dict[str, dict[str, Any]]] = {}
        self.busy: dict[str, int] = {}
        self._elastic = elastic

    def answer(self, method: str, target: str, authorization: str, body: str) -> tuple[int, Any]:
        """One request."""
        if authorization not in (BASIC, ASIDE):
            return 401, {"error": {"type": "security_exception", "reason": "who are you?"}}
        path = urlsplit(target).path.strip("/").split("/")
        if path[-1] in self.busy:
            return self.busy.pop(path[-1]), {"error": {"type": "busy", "reason": "not now"}}
        try:
            if path[0] == "_aliases":
                return 200, self._move(json.loads(body)["actions"])
            if path[0] == "_alias":
                return 200, self._alias(path[1])
            if len(path) == 1:
                return 200, self._whole(method, path[0], body)
            index = self._index(path[0])
            return 200, getattr(self, path[1])(path[0], index, body)
        except EngineError as no:
            return no.status, no.body

    def _index(self, name: str) -> FakeIndex:
        led = next(iter(self.aliases.get(name, {})), name)
        if led not in self.indexes:
            raise EngineError(404, "index_not_found_exception", f"no such index [{name}]")
        return self.indexes[led]

    def _whole(self, method: str, name: str, body: str) -> Any:
        if method == "PUT":
            if name in self.indexes or name in self.aliases:
                raise EngineError(400, "resource_already_exists_exception", f"[{name}] exists")
            made = json.loads(body)
            kinds = {each["type"] for each in made["mappings"].get("properties", {}).values()}
            if ("knn_vector" if self._elastic else "dense_vector") in kinds:
                raise EngineError(400, "mapper_parsing_exception", "No handler for type")
            if set(made.get("settings", {}).get("index", {})) & {"uuid", "creation_date"}:
                raise EngineError(400, "settings_exception", "private index setting")
            self.indexes[name] = FakeIndex(made)
        elif method == "DELETE":
            self._index(name)
            del self.indexes[name]
            for led in self.aliases.values():
                led.pop(name, None)
        else:
            settings = self._index(name).body.get("settings", {}).get("index", {})
            own = {**settings, "uuid": "x", "creation_date": "1", "provided_name": name}
            return {
                name: {
                    "mappings": self._index(name).body["mappings"], "settings": {"index": own},
                    "aliases": {},
                }
            }  # fmt: skip
        return {"acknowledged": True}

    def _alias(self, name: str) -> Any:
        if not self.aliases.get(name):
            raise EngineError(404, "aliases_not_found_exception", f"alias [{name}] missing")
        return {led: {"aliases": {name: terms}} for led, terms in self.aliases[name].items()}

    def _move(self, actions: list[dict[str, dict[str, Any]]]) -> Any:
        after = copy.deepcopy(self.aliases)
        for action in actions:
            ((verb, said),) = action.items()
            index, alias = said.pop("index"), said.pop("alias")
            self._index(index)
            if verb == "add":
                if alias in self.indexes:
                    raise EngineError(400, "invalid_alias_name_exception", "an index has the name")
                after.setdefault(alias, {})[index] = said
            elif after.get(alias, {}).pop(index, None) is None and said.get("must_exist"):
                raise EngineError(404, "aliases_not_found_exception", f"aliases [{alias}] missing")
        self.aliases = after
        return {"acknowledged": True}

    def _mapping(self, name: str, index: FakeIndex, body: str) -> Any:
        real = next(iter(self.aliases.get(name, {})), name)
        return {real: {"mappings": index.body["mappings"]}}

    def _refresh(self, name: str, index: FakeIndex, body: str) -> Any:
        index.found = copy.deepcopy(index.written)
        return {"_shards": {"failed": 0}}

    def _count(self, name: str, index: FakeIndex, body: str) -> Any:
        return {"count": len(index.found)}

    def _mget(self, name: str, index: FakeIndex, body: str) -> Any:
        found = [(each, index.written.get(each)) for each in json.loads(body)["ids"]]
        return {
            "docs": [
                {"_id": each, "found": source is not None, "_source": source}
                for each, source in found
            ]
        }

    def _bulk(self, name: str, index: FakeIndex, body: str) -> Any:
        items, lines = [], iter(body.splitlines())
        vector, width = index.vector()
        for line in lines:
            ((verb, said),) = json.loads(line).items()
            result: dict[str, Any] = {"_id": said["_id"], "status": 200}
            if verb == "delete":
                result["status"] = 200 if index.written.pop(said["_id"], None) else 404
            else:
                source = json.loads(next(lines))
                if len(said["_id"].encode()) > 512:
                    result |= _failed("illegal_argument_exception", "id is too long")
                elif len(source[vector]) != width:
                    result |= _failed("mapper_parsing_exception", "another number of dimensions")
                else:
                    index.written[said["_id"]] = source
            items.append({verb: result})
        return {"errors": any("error" in next(iter(each.values())) for each in items),
                "items": items}  # fmt: skip

    def _search(self, name: str, index: FakeIndex, body: str) -> Any:
        said = json.loads(body)
        if self._elastic:
            vector, query = said["knn"]["field"], said["knn"]["query_vector"]
        else:
            ((vector, near),) = said["query"]["knn"].items()
            query = near["vector"]
        ids = list(index.found)
        if vector != index.vector()[0] or len(query) != index.vector()[1]:
            raise EngineError(400, "query_shard_exception", "no such vectors")
        if not ids:
            return {"hits": {"hits": []}}
        stored = np.array([index.found[each][vector] for each in ids])
        scores = stored @ np.array(query) / np.linalg.norm(stored, axis=1)
        order = np.argsort(-scores, kind="stable")[: said["size"]]
        return {"hits": {"hits": [{"_id": ids[row], "_score": float(scores[row])}
                                  for row in order]}}  # fmt: skip


def _failed(kind: str, reason: str) -> dict[str, Any]:
    return {"status": 400, "error": {"type": kind, "reason": reason}}
