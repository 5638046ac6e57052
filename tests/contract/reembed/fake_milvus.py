"""The wire of Milvus's RESTful API v2, as far as ragwheel and a service that searches use it.

Shapes from https://milvus.io/api-reference/restful/v2.6.x/About.md: errors come with status 200 and
a code, a collection is searched once it is loaded, and fields are described in other words than
they are declared in.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np

TOKEN = "Bearer me:hush"
_NO_COLLECTION, _NOT_LOADED, _INVALID, _NO_ALIAS = 100, 101, 1100, 1600


class MilvusError(Exception):
    """An answer that is no."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass
class FakeCollection:
    """One collection; `polls` is how often it is still being loaded."""

    said: dict[str, Any]
    indexes: list[dict[str, Any]]
    loaded: bool = False
    polls: int = 1
    rows: dict[Any, dict[str, Any]] = field(default_factory=dict)

    def named(self, want: str, value: Any) -> dict[str, Any]:
        """The one field that was declared so."""
        return next(each for each in self.said["schema"]["fields"] if each.get(want) == value)


class FakeMilvus:
    """Milvus.

    Attributes:
        describes: whether it keeps descriptions.
        busy: code of the next answer, instead of it.
    """

    def __init__(self) -> None:
        self.collections: dict[str, FakeCollection] = {}
        self.aliases: dict[str, str] = {}
        self.describes, self.busy = True, 0

    def answer(self, method: str, target: str, authorization: str, body: str) -> tuple[int, Any]:
        """One request."""
        if authorization != TOKEN:
            return 200, {"code": 1800, "message": "user hasn't authenticated"}
        said = json.loads(body)
        try:
            if self.busy:
                raise MilvusError(self.busy, "rate limit exceeded")
            if said.get("dbName") != "main":
                raise MilvusError(800, "database not found")
            verb = target.removeprefix("/v2/vectordb/").replace("/", "_")
            return 200, {"code": 0, "data": getattr(self, verb)(said)}
        except MilvusError as no:
            self.busy = 0
            return 200, {"code": no.code, "message": str(no)}

    def _collection(self, said: dict[str, Any]) -> FakeCollection:
        name = said["collectionName"]
        name = self.aliases.get(name, name)
        if name not in self.collections:
            raise MilvusError(_NO_COLLECTION, f"collection not found[collection={name}]")
        return self.collections[name]

    def collections_has(self, said: dict[str, Any]) -> Any:
        """Whether there is one."""
        return {"has": said["collectionName"] in self.collections}

    def collections_create(self, said: dict[str, Any]) -> Any:
        """Make one; with indexes it is loaded."""
        made = FakeCollection(said, list(said.get("indexParams", [])))
        made.loaded = bool(made.indexes)
        self.collections[said["collectionName"]] = made
        return {}

    def collections_describe(self, said: dict[str, Any]) -> Any:
        """How it is."""
        made = self._collection(said)
        schema = made.said["schema"]
        fields = [
            {
                "name": each["fieldName"], "type": each["dataType"],
                "primaryKey": each.get("isPrimary", False), "partitionKey": False,
                "nullable": each.get("nullable", False), "autoId": False, "description": "",
                "params": [{"key": key, "value": str(value)}
                           for key, value in each.get("elementTypeParams", {}).items()],
            }
            for each in schema["fields"]
        ]  # fmt: skip
        vector = made.named("dataType", "FloatVector")["fieldName"]
        return {
            "collectionName": made.said["collectionName"], "fields": fields, "autoId": False,
            "description": made.said.get("description", "") if self.describes else "",
            "enableDynamicField": schema["enableDynamicField"],
            "functions": schema.get("functions", []),
            "indexes": [each for each in made.indexes if each["fieldName"] == vector],
        }  # fmt: skip

    def collections_drop(self, said: dict[str, Any]) -> Any:
        """Remove one that no alias leads to."""
        if said["collectionName"] in self.aliases.values():
            raise MilvusError(65535, "cannot drop the collection via alias")
        self.collections.pop(said["collectionName"], None)
        return {}

    def collections_load(self, said: dict[str, Any]) -> Any:
        """Load it, if its vectors have an index."""
        made = self._collection(said)
        if not made.indexes:
            raise MilvusError(700, "index not found")
        made.loaded = True
        return {}

    def collections_get_load_state(self, said: dict[str, Any]) -> Any:
        """How far that is."""
        made = self._collection(said)
        made.polls -= 1
        ready = made.loaded and made.polls < 0
        return {"loadState": "LoadStateLoaded" if ready else "LoadStateLoading"}

    def indexes_create(self, said: dict[str, Any]) -> Any:
        """Make some."""
        self._collection(said).indexes += said["indexParams"]
        return {}

    def indexes_list(self, said: dict[str, Any]) -> Any:
        """Their names."""
        return [each["indexName"] for each in self._collection(said).indexes]

    def indexes_describe(self, said: dict[str, Any]) -> Any:
        """One of them."""
        indexes = self._collection(said).indexes
        return [each for each in indexes if each["indexName"] == said["indexName"]]

    def entities_upsert(self, said: dict[str, Any]) -> Any:
        """Rows that fit the schema, all or none."""
        made = self._collection(said)
        vector, key = made.named("dataType", "FloatVector"), made.named("isPrimary", True)
        names = {each["fieldName"] for each in made.said["schema"]["fields"]}
        for row in said["data"]:
            lacking = names - row.keys()
            beyond = () if made.said["schema"]["enableDynamicField"] else row.keys() - names
            width = int(vector["elementTypeParams"]["dim"])
            if lacking or beyond or len(row[vector["fieldName"]]) != width:
                raise MilvusError(1804, f"fail to deal the insert data: {lacking or beyond}")
        made.rows |= {row[key["fieldName"]]: row for row in said["data"]}
        return {"upsertCount": len(said["data"])}

    def entities_delete(self, said: dict[str, Any]) -> Any:
        """By a filter of ids."""
        made = self._collection(said)
        key, _, ids = said["filter"].partition(" in ")
        if key != made.named("isPrimary", True)["fieldName"]:
            raise MilvusError(_INVALID, "no such field")
        for each in json.loads(ids):
            made.rows.pop(each, None)
        return {}

    def entities_get(self, said: dict[str, Any]) -> Any:
        """Whole rows by id."""
        rows = self._searchable(said).rows
        return [rows[each] for each in said["id"] if each in rows]

    def entities_query(self, said: dict[str, Any]) -> Any:
        """How many."""
        return [{"count(*)": len(self._searchable(said).rows)}]

    def entities_search(self, said: dict[str, Any]) -> Any:
        """The nearest."""
        made = self._searchable(said)
        field_, key = made.named("dataType", "FloatVector"), made.named("isPrimary", True)
        query = np.array(said["data"][0])
        if said["annsField"] != field_["fieldName"] or len(said["data"]) != 1:
            raise MilvusError(_INVALID, "no such vectors")
        ids = list(made.rows)
        if not ids:
            return []
        scores = np.array([made.rows[each][field_["fieldName"]] for each in ids]) @ query
        order = np.argsort(-scores, kind="stable")[: said["limit"]]
        return [{"distance": float(scores[row]), key["fieldName"]: ids[row]} for row in order]

    def _searchable(self, said: dict[str, Any]) -> FakeCollection:
        made = self._collection(said)
        if not made.loaded:
            raise MilvusError(_NOT_LOADED, "collection not loaded")
        return made

    def aliases_describe(self, said: dict[str, Any]) -> Any:
        """Where it leads."""
        if said["aliasName"] not in self.aliases:
            raise MilvusError(_NO_ALIAS, "alias not found")
        return {"aliasName": said["aliasName"], "collectionName": self.aliases[said["aliasName"]]}

    def aliases_create(self, said: dict[str, Any]) -> Any:
        """A new one."""
        if said["aliasName"] in self.aliases or said["aliasName"] in self.collections:
            raise MilvusError(1602, "the name is taken")
        self._collection(said)
        self.aliases[said["aliasName"]] = said["collectionName"]
        return {}

    def aliases_alter(self, said: dict[str, Any]) -> Any:
        """Lead one elsewhere."""
        self.aliases_describe(said)
        self._collection(said)
        self.aliases[said["aliasName"]] = said["collectionName"]
        return {}
