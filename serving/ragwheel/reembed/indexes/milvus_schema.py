"""What Milvus says of a collection, and how one like it is declared: in other words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ragwheel.reembed.indexes.contracts import IndexRefusedError


def declared(field: Mapping[str, Any], dimension: int) -> dict[str, Any]:
    """A field as it is declared, from how it is described; that of vectors with its new width."""
    params = {each["key"]: each["value"] for each in field.get("params") or ()}
    if field["type"] == "FloatVector":
        params["dim"] = dimension
    return {
        "fieldName": field["name"], "dataType": field["type"],
        "isPrimary": field["primaryKey"], "isPartitionKey": field.get("partitionKey", False),
        "nullable": field.get("nullable", False), "elementTypeParams": params,
        **({"elementDataType": field["elementType"]} if field.get("elementType") else {}),
    }  # fmt: skip


def vector_index(field: str, metric: str) -> dict[str, Any]:
    """An index of vectors, as Milvus thinks best."""
    return {"fieldName": field, "indexName": field, "metricType": metric, "indexType": "AUTOINDEX"}


def key_of(about: Mapping[str, Any]) -> str:
    """The field of ids."""
    return next(str(each["name"]) for each in about["fields"] if each["primaryKey"])


def vector_of(about: Mapping[str, Any]) -> str:
    """The field of vectors."""
    return next(str(each["name"]) for each in about["fields"] if each["type"] == "FloatVector")


def typed_id(about: Mapping[str, Any], chunk_id: str) -> int | str:
    """An id as the collection holds it.

    Raises:
        IndexRefusedError: it holds numbers, and this is none.
    """
    key = next(each for each in about["fields"] if each["primaryKey"])
    if key["type"] != "Int64":
        return chunk_id
    if not chunk_id.removeprefix("-").isdecimal():
        raise IndexRefusedError(
            f"{about['collectionName']} knows chunks by numbers, and {chunk_id!r} is none"
        )
    return int(chunk_id)
