"""Parameters, settings, errors, streams: how requests behave."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError

pytestmark = pytest.mark.integration


@pytest.mark.parametrize(
    ("placeholder", "value"),
    [
        ("{v:UInt64}", 2**64 - 1),
        ("{v:Int8}", -5),
        ("{v:String}", "it's \\ a\ttab\nline 漢字 {x:String} ?%"),
        ("{v:Float64}", -1.5),
        ("{v:Array(String)}", ["a'b", "", "\\", "ü"]),
        ("{v:Array(UInt32)}", [1, 2, 3]),
        ("{v:DateTime64(3, 'UTC')}", datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)),
        ("{v:Nullable(String)}", None),
        ("{v:Bool}", True),
    ],
)
def test_parameters_arrive_as_given(client: Client, placeholder: str, value: object) -> None:
    rows = client.query(f"SELECT {placeholder}", parameters={"v": value}).result_rows
    assert rows == [(value,)]


def test_parameters_name_tables_and_work_in_commands(client: Client) -> None:
    client.command("CREATE TABLE t (a UInt8, b String) ENGINE = MergeTree ORDER BY a")
    client.insert("t", [[1, "x"], [2, "y"]], column_names=["a", "b"])
    parameters = {"table": "t", "least": 2}
    query = "SELECT b FROM {table:Identifier} WHERE a >= {least:UInt8}"
    assert client.command(query, parameters=parameters) == "y"
    client.command("ALTER TABLE t DELETE WHERE a = {a:UInt8}", parameters={"a": 1})


def test_long_parameters_travel_too(client: Client) -> None:
    ids = [f"{number:032x}" for number in range(5_000)]
    query = "SELECT length({ids:Array(String)}), {ids:Array(String)}[-1]"
    assert client.query(query, parameters={"ids": ids}).result_rows == [(5_000, ids[-1])]


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("SELECT * FROM no_such_table", 60),
        ("SELEC 1", 62),
        ("SELECT no_such_column FROM system.one", 47),
        ("SELECT no_such_function()", 46),
        ("SELECT * FROM no_such_database.t", 81),
        ("SELECT toUInt8('x')", 6),
        ("SELECT 1 SETTINGS no_such_setting = 1", 115),
        ("CREATE TABLE system_twice (a UInt8, a UInt8) ENGINE = Memory", 44),
    ],
)
def test_errors_carry_clickhouses_code(client: Client, statement: str, code: int) -> None:
    with pytest.raises(DatabaseError) as by_query:
        client.command(statement)
    assert by_query.value.code == code


def test_an_insert_into_an_unknown_table_or_column_fails_with_its_code(client: Client) -> None:
    with pytest.raises(DatabaseError) as unknown_table:
        client.raw_insert("nowhere", ["a"], b'{"a": 1}\n' * 500_000, fmt="JSONEachRow")
    assert unknown_table.value.code == 60
    client.command("CREATE TABLE t (a UInt8) ENGINE = MergeTree ORDER BY a")
    with pytest.raises(DatabaseError) as unknown_column:
        client.raw_insert("t", ["b"], b'{"b": 1}\n', fmt="JSONEachRow")
    assert unknown_column.value.code == 16


def test_an_insert_that_cannot_be_read_leaves_nothing(client: Client) -> None:
    client.command("CREATE TABLE t (a UInt8) ENGINE = MergeTree ORDER BY a")
    with pytest.raises(DatabaseError) as broken:
        client.raw_insert("t", ["a"], b'{"a": 1}\n{"a": "x"}\n', fmt="JSONEachRow")
    assert broken.value.code == 27
    assert client.command("SELECT count() FROM t") == 0


def test_settings_hold_for_their_query_only(client: Client) -> None:
    def seen() -> object:
        return client.command("SELECT value FROM system.settings WHERE name = 'max_block_size'")

    before = seen()
    with_setting = client.command(
        "SELECT value FROM system.settings WHERE name = 'max_block_size'",
        settings={"max_block_size": 1234},
    )
    assert with_setting == 1234
    assert seen() == before


def test_a_time_limit_ends_a_query_with_its_code(client: Client) -> None:
    with pytest.raises(DatabaseError) as late:
        client.command(
            "SELECT sum(sipHash64(number)) FROM numbers(1000000000000)",
            settings={"max_execution_time": 1},
        )
    assert late.value.code == 159


def test_the_database_of_the_client_is_the_default_one(client: Client) -> None:
    client.command("CREATE TABLE here (a UInt8) ENGINE = MergeTree ORDER BY a")
    assert client.command("EXISTS TABLE here") == 1
    assert client.command("SELECT currentDatabase()") == client.database
    assert client.command("SELECT currentDatabase()", use_database=False) == "default"


def test_rows_stream_in_blocks(client: Client) -> None:
    sizes: list[int] = []
    total = 0
    query = "SELECT number FROM numbers(1000000)"
    with client.query_row_block_stream(query, settings={"max_block_size": 50_000}) as blocks:
        for block in blocks:
            sizes.append(len(block))
            total += sum(row[0] for row in block)
    assert len(sizes) > 1
    assert (sum(sizes), total) == (1_000_000, 499_999_500_000)


def test_a_stream_may_be_left_early_and_the_next_query_works(client: Client) -> None:
    with client.query_row_block_stream("SELECT number FROM numbers(100000000)") as blocks:
        next(iter(blocks))
    assert client.command("SELECT 1") == 1


def test_an_error_within_a_stream_is_raised_to_the_reader(client: Client) -> None:
    query = "SELECT throwIf(number = 500000) FROM numbers(1000000)"
    seen: list[int] = []

    def read_all() -> None:
        with client.query_row_block_stream(query, settings={"max_block_size": 10_000}) as blocks:
            seen.extend(len(block) for block in blocks)

    with pytest.raises(ClickHouseError, match="throwIf"):
        read_all()
    assert 0 < sum(seen) < 1_000_000


def test_a_summary_counts_written_rows(client: Client) -> None:
    client.command("CREATE TABLE t (a UInt8) ENGINE = MergeTree ORDER BY a")
    assert client.insert("t", [[1], [2], [3]], column_names=["a"]).written_rows == 3


def test_ping_answers(client: Client) -> None:
    assert client.ping()


def test_sessions_are_accepted(client: Client) -> None:
    assert client.command("SELECT 1", settings={"session_id": "some-session"}) == 1
