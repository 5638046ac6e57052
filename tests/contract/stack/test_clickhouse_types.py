"""What is written comes back equal, through every way the client writes and reads."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from clickhouse_connect.driver.client import Client

pytestmark = pytest.mark.integration

_MOMENT = datetime(2026, 11, 23, 8, 49, 52, 123000, tzinfo=UTC)

# Column type, and values that are awkward for it.
_TYPES: list[tuple[str, list[Any]]] = [
    ("String", ["", "plain", "ünïcödé 漢字 🦀", "tab\tquote'back\\slash\nnull\0"]),
    ("LowCardinality(String)", ["a", "b", "a", ""]),
    ("LowCardinality(Nullable(String))", ["a", None, "", "ü"]),
    ("Nullable(Float64)", [None, 0.0, -1.5e300, float("inf")]),
    ("UInt64", [0, 1, 2**63, 2**64 - 1]),
    ("Int64", [0, -1, -(2**63), 2**63 - 1]),
    ("UInt8", [0, 3, 255, 1]),
    ("Bool", [True, False, True, False]),
    ("Float32", [0.0, 0.5, -0.25, 1024.0]),
    ("Date", [date(1970, 1, 1), date(2026, 11, 23), date(2100, 1, 1), date(2149, 6, 6)]),
    (
        "DateTime64(3, 'UTC')",
        [_MOMENT, datetime(1970, 1, 1, tzinfo=UTC), datetime(2099, 12, 31, tzinfo=UTC), _MOMENT],
    ),
    ("DateTime('UTC')", [_MOMENT.replace(microsecond=0)] * 4),
    ("UUID", [uuid.UUID(int=0), uuid.UUID(int=2**128 - 1), uuid.UUID(int=42), uuid.UUID(int=7)]),
    ("FixedString(4)", [b"abcd", b"\x00\x01\x02\x03", b"wxyz", b"\xff\xfe\xfd\xfc"]),
    ("Array(String)", [[], ["a"], ["ü", ""], ["x"] * 200]),
    ("Array(Float32)", [[], [0.5], [1.0, -2.0], [0.25] * 384]),
    ("Array(Nullable(UInt32))", [[], [None], [1, None, 3], [2**32 - 1]]),
    ("Array(LowCardinality(String))", [[], ["a"], ["a", "b", "a"], [""]]),
    ("Array(Array(UInt8))", [[], [[]], [[1], [2, 3]], [[255]]]),
    ("Map(String, String)", [{}, {"k": "v"}, {"ü": "", "b": "c"}, {"x": "y"}]),
    ("Map(LowCardinality(String), UInt64)", [{}, {"k": 1}, {"a": 2**63, "b": 0}, {"x": 3}]),
    ("Tuple(String, UInt8)", [("a", 1), ("", 0), ("ü", 255), ("b", 2)]),
    ("Enum8('candidate' = 1, 'promoted' = 2)", ["candidate", "promoted", "candidate", "promoted"]),
    ("Decimal(18, 4)", [Decimal("0"), Decimal("-1.2345"), Decimal("99999999999999.9999")]),
]


@pytest.mark.parametrize(
    ("column_type", "values"),
    [pytest.param(name, values, id=name) for name, values in _TYPES],
)
def test_values_round_trip(client: Client, column_type: str, values: list[Any]) -> None:
    client.command(f"CREATE TABLE t (n UInt8, v {column_type}) ENGINE = MergeTree ORDER BY n")
    numbers = list(range(len(values)))
    client.insert("t", [numbers, values], column_names=["n", "v"], column_oriented=True)
    read = client.query("SELECT v FROM t ORDER BY n").result_columns[0]
    assert list(read) == values


def test_rows_and_columns_are_two_ways_to_write_the_same(client: Client) -> None:
    client.command("CREATE TABLE t (a UInt8, b String) ENGINE = MergeTree ORDER BY a")
    client.insert("t", [[1, "x"], [2, "y"]], column_names=["a", "b"])
    client.insert("t", [[3, 4], ["z", "w"]], column_names=["a", "b"], column_oriented=True)
    result = client.query("SELECT a, b FROM t ORDER BY a")
    assert result.column_names == ("a", "b")
    assert result.result_rows == [(1, "x"), (2, "y"), (3, "z"), (4, "w")]


def test_missing_columns_take_their_defaults(client: Client) -> None:
    client.command(
        "CREATE TABLE t (a UInt8, b String DEFAULT 'none', c UInt8 DEFAULT a + 1)"
        " ENGINE = MergeTree ORDER BY a"
    )
    client.insert("t", [[1]], column_names=["a"])
    assert client.query("SELECT * FROM t").result_rows == [(1, "none", 2)]


def test_numpy_pandas_and_arrow_read_and_write(client: Client) -> None:
    pandas = pytest.importorskip("pandas")
    pyarrow = pytest.importorskip("pyarrow")
    client.command("CREATE TABLE t (a UInt64, b String) ENGINE = MergeTree ORDER BY a")
    client.insert_df("t", pandas.DataFrame({"a": [1, 2], "b": ["x", "y"]}))
    client.insert_arrow("t", pyarrow.table({"a": [3], "b": ["z"]}))
    matrix = client.query_np("SELECT a FROM t ORDER BY a")
    assert np.array_equal(matrix.ravel(), [1, 2, 3])
    frame = client.query_df("SELECT * FROM t ORDER BY a")
    assert frame["b"].tolist() == ["x", "y", "z"]
    table = client.query_arrow("SELECT * FROM t ORDER BY a", use_strings=True)
    assert table.column("b").to_pylist() == ["x", "y", "z"]


def test_raw_formats_in_and_out(client: Client) -> None:
    client.command("CREATE TABLE t (a UInt8, b String) ENGINE = MergeTree ORDER BY a")
    lines = b'{"a": 1, "b": "x"}\n{"a": 2, "b": "FORMAT Native"}\n'
    client.raw_insert("t", ["a", "b"], lines, fmt="JSONEachRow")
    client.raw_insert("t", ["a", "b"], b"3,y\n", fmt="CSV")
    out = client.raw_query("SELECT * FROM t ORDER BY a", fmt="JSONEachRow")
    assert [json.loads(line) for line in out.splitlines()] == [
        {"a": 1, "b": "x"},
        {"a": 2, "b": "FORMAT Native"},
        {"a": 3, "b": "y"},
    ]
    assert client.raw_query("SELECT count() FROM t") == b"3\n"


def test_no_rows_is_an_answer(client: Client) -> None:
    client.command("CREATE TABLE t (a UInt8) ENGINE = MergeTree ORDER BY a")
    assert client.query("SELECT a FROM t").result_rows == []
    assert client.query("SELECT a FROM t LIMIT 0").column_names == ("a",)
    assert client.command("SELECT a FROM t") == ""
