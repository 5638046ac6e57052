"""Plain values as Arrow tables and back, and a digest of what a table says.

A table is made of a dataclass or NamedTuple: a column per field, tuples as lists, values inside
values as structs. Nothing is done per value in Python but reading and making it, so a million rows
take seconds.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Iterable, Sequence
from dataclasses import fields, is_dataclass
from datetime import datetime
from hashlib import blake2b
from itertools import accumulate, chain, pairwise
from operator import attrgetter
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

T = TypeVar("T")
_PLAIN = {
    str: pa.string(),
    int: pa.int64(),
    float: pa.float64(),
    bool: pa.bool_(),
    datetime: pa.timestamp("us", tz="UTC"),
}


def table_of(values: Sequence[T], of: type[T]) -> pa.Table:
    """One row per value.

    Raises:
        TypeError: `of` has a field of a type that has no column.
    """
    struct = _column(values, of)
    return pa.Table.from_arrays(struct.flatten(), names=list(_fields(of)))


def values_of(table: pa.Table, of: type[T]) -> list[T]:
    """The values that `table_of` made the table from."""
    columns = [
        _values(table.column(name).combine_chunks(), kind) for name, kind in _fields(of).items()
    ]
    return list(map(of, *columns))


def digest(table: pa.Table) -> str:
    """128 bits over names and values, in the order of the rows.

    It depends neither on how rows are divided into chunks nor on a file format or its writer.
    """
    hasher = blake2b(digest_size=16, person=b"table")
    for name in table.column_names:
        hasher.update(f"{name}:{len(table)}|".encode())
        for chunk in _buffers(pa.concat_arrays(table.column(name).chunks or [_empty(table, name)])):
            hasher.update(len(chunk).to_bytes(8, "big"))
            hasher.update(chunk)
    return hasher.hexdigest()


def _fields(kind: Any) -> dict[str, Any]:
    """Name → type of the fields of a dataclass or NamedTuple."""
    hints = typing.get_type_hints(kind)
    names = [each.name for each in fields(kind)] if is_dataclass(kind) else list(kind._fields)
    return {name: hints[name] for name in names}


def _column(values: Sequence[Any], kind: Any) -> pa.Array:
    kind = _bare(kind)
    if kind in _PLAIN:
        return pa.array(values, _PLAIN[kind])
    if typing.get_origin(kind) is tuple:
        offsets = pa.array(accumulate(map(len, values), initial=0), pa.int32())
        inner = _column(list(chain.from_iterable(values)), typing.get_args(kind)[0])
        return pa.ListArray.from_arrays(offsets, inner)
    if is_dataclass(kind) or hasattr(kind, "_fields"):
        columns = [_column(list(map(attrgetter(n), values)), k) for n, k in _fields(kind).items()]
        return pa.StructArray.from_arrays(columns, names=list(_fields(kind)))
    raise TypeError(f"{kind} has no column: use str, int, float, bool, datetime, tuples or values")


def _values(array: pa.Array, kind: Any) -> Iterable[Any]:
    kind = _bare(kind)
    if kind in _PLAIN:
        return typing.cast(list[Any], array.to_pylist())
    if typing.get_origin(kind) is tuple:
        inner = list(_values(array.flatten(), typing.get_args(kind)[0]))
        ends = list(accumulate(pc.list_value_length(array).to_pylist(), initial=0))
        return [tuple(inner[a:b]) for a, b in pairwise(ends)]
    columns = [_values(array.field(n), k) for n, k in _fields(kind).items()]
    return list(map(kind, *columns))


def _bare(kind: Any) -> Any:
    """The type without `| None`; of a Literal that of its values."""
    origin = typing.get_origin(kind)
    if origin is typing.Literal:
        return type(typing.get_args(kind)[0])
    if origin in (typing.Union, types.UnionType):
        [kind] = [each for each in typing.get_args(kind) if each is not type(None)]
        return _bare(kind)
    return kind


def _empty(table: pa.Table, name: str) -> pa.Array:
    return pa.array([], table.column(name).type)


def _buffers(array: pa.Array) -> Iterable[bytes | memoryview]:
    """What an array says, in bytes that are equal for equal values."""
    if array.null_count:
        yield pc.cast(array.is_valid(), pa.uint8()).to_numpy().tobytes()
    if pa.types.is_struct(array.type):
        for child in array.flatten():
            yield from _buffers(child)
    elif pa.types.is_list(array.type):
        yield pc.list_value_length(array).fill_null(0).to_numpy().astype("<i8").tobytes()
        yield from _buffers(array.flatten())
    elif pa.types.is_string(array.type):
        array = array.fill_null("") if array.null_count else array
        yield pc.binary_length(array).to_numpy().astype("<i8").tobytes()
        if len(array):
            _, ends, texts = array.buffers()
            at = memoryview(ends).cast("i")[array.offset : array.offset + len(array) + 1]
            yield memoryview(texts)[at[0] : at[-1]] if texts else b""
    else:
        yield str(array.type).encode()
        if pa.types.is_timestamp(array.type):
            array = pc.cast(array, pa.int64())
        elif pa.types.is_boolean(array.type):
            array = pc.cast(array, pa.uint8())
        values = array.fill_null(0).to_numpy(zero_copy_only=False)
        yield values.astype(values.dtype.newbyteorder("<")).tobytes()
