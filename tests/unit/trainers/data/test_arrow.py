"""Values become columns and come back, and a digest says what a table says."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, NamedTuple

import pyarrow as pa
import pytest

from ragwheel.trainers.data import arrow


class Inner(NamedTuple):
    name: str
    weight: float


@dataclass(frozen=True, slots=True)
class Outer:
    key: str
    part: Literal["train", "gate"]
    grade: int | None
    sure: bool
    at: datetime
    names: tuple[str, ...]
    inner: tuple[Inner, ...]
    one: Inner


AT = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
ROWS = [
    Outer(
        "ä", "train", 3, True, AT, ("x", "", "é"), (Inner("a", 0.1), Inner("b", 2)), Inner("c", 1)
    ),
    Outer("", "gate", None, False, AT, (), (), Inner("", -1.5)),
]  # fmt: skip


def test_values_come_back_as_they_were() -> None:
    assert arrow.values_of(arrow.table_of(ROWS, Outer), Outer) == ROWS
    assert arrow.values_of(arrow.table_of([], Outer), Outer) == []


def test_a_part_of_a_table_comes_back_too() -> None:
    table = pa.concat_tables([arrow.table_of(ROWS, Outer)] * 3)
    assert arrow.values_of(table.slice(1, 3), Outer) == [ROWS[1], *ROWS]


def test_the_digest_is_of_values_and_not_of_how_they_lie_in_memory() -> None:
    whole = arrow.table_of(ROWS * 3, Outer)
    parts = pa.concat_tables([arrow.table_of(ROWS, Outer)] * 3)
    assert arrow.digest(whole) == arrow.digest(parts)
    assert arrow.digest(whole) == arrow.digest(pa.concat_tables([parts, whole]).slice(6, 6))


@pytest.mark.parametrize("changed", [
    {"key": "b"}, {"grade": 0}, {"sure": True}, {"names": ("x",)}, {"one": Inner("", -1.25)},
    {"names": ("", "")}, {"inner": (Inner("a", 0.1),)},
])  # fmt: skip
def test_each_value_counts(changed: dict[str, object]) -> None:
    values = {name: getattr(ROWS[1], name) for name in Outer.__dataclass_fields__}
    other = [ROWS[0], Outer(**{**values, **changed})]
    assert arrow.digest(arrow.table_of(other, Outer)) != arrow.digest(arrow.table_of(ROWS, Outer))


def test_where_one_text_ends_and_the_next_begins_counts() -> None:
    one, other = pa.table({"a": ["ab", "c"]}), pa.table({"a": ["a", "bc"]})
    assert arrow.digest(one) != arrow.digest(other)


def test_a_type_without_a_column_is_named() -> None:
    @dataclass
    class Odd:
        value: bytes

    Odd.__annotations__["value"] = bytes
    with pytest.raises(TypeError, match="bytes"):
        arrow.table_of([Odd(b"")], Odd)
