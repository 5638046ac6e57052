"""Checks a value against a JSON Schema, as far as our schemas go; anything else is an error."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "object": dict, "array": list, "string": str, "boolean": bool, "null": type(None),
    "integer": int, "number": (int, float),
}  # fmt: skip
_KNOWN = {
    "$defs", "$ref", "$schema", "$comment", "title", "description", "readOnly", "default", "type",
    "properties", "required", "additionalProperties", "propertyNames", "items", "anyOf", "enum",
    "format",
}  # fmt: skip


def check(value: Any, schema: Mapping[str, Any], root: Mapping[str, Any], at: str = "$") -> None:
    """Fail, naming the place, where `value` is not what `schema` says.

    Stricter than the standard in one thing: an object may have no other keys than those named.
    """
    assert set(schema) <= _KNOWN, f"{at}: unknown keywords {set(schema) - _KNOWN}"
    if "$ref" in schema:
        return check(value, root["$defs"][schema["$ref"].removeprefix("#/$defs/")], root, at)
    if "anyOf" in schema:
        return _check_any(value, schema["anyOf"], root, at)
    if "enum" in schema:
        assert value in schema["enum"], f"{at}: {value!r}"
    if "type" in schema:
        fits = isinstance(value, _TYPES[schema["type"]])
        wrong_bool = isinstance(value, bool) and schema["type"] in ("integer", "number")
        assert fits, f"{at}: {value!r} is no {schema['type']}"
        assert not wrong_bool, f"{at}: {value!r}"
    if schema.get("format") == "date-time":
        assert datetime.fromisoformat(value).tzinfo is not None, f"{at}: {value!r}"
    if isinstance(value, list):
        for index, item in enumerate(value):
            check(item, schema["items"], root, f"{at}[{index}]")
    if isinstance(value, dict):
        _check_object(value, schema, root, at)
    return None


def _check_any(value: Any, schemas: list[Any], root: Mapping[str, Any], at: str) -> None:
    problems = []
    for schema in schemas:
        try:
            return check(value, schema, root, at)
        except AssertionError as error:
            problems.append(str(error))
    raise AssertionError("; ".join(problems))


def _check_object(
    value: dict[str, Any], schema: Mapping[str, Any], root: Mapping[str, Any], at: str
) -> None:
    properties = schema.get("properties", {})
    missing = set(schema.get("required", ())) - set(value)
    assert not missing, f"{at}: no {missing}"
    for key, item in value.items():
        if key in properties:
            check(item, properties[key], root, f"{at}.{key}")
            continue
        assert "additionalProperties" in schema, f"{at}: {key!r} is not declared"
        check(key, schema.get("propertyNames", {}), root, f"{at} key {key!r}")
        check(item, schema["additionalProperties"], root, f"{at}.{key}")
