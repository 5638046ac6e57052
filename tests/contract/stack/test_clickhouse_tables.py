"""The table features that the archive is built on."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from clickhouse_connect.driver.client import Client

pytestmark = pytest.mark.integration

NewClient = Callable[[], Client]


def count(client: Client) -> int:
    return int(str(client.command("SELECT count() FROM t")))


def test_replacing_merge_tree_keeps_the_newest_version_as_read_with_final(client: Client) -> None:
    client.command(
        "CREATE TABLE t (id String, version UInt64, v String)"
        " ENGINE = ReplacingMergeTree(version) ORDER BY id"
    )
    names = ["id", "version", "v"]
    client.insert("t", [["a", 1, "old"], ["b", 1, "only"]], column_names=names)
    client.insert("t", [["a", 2, "new"]], column_names=names)
    client.insert("t", [["a", 1, "replayed"]], column_names=names)
    assert client.query("SELECT id, v FROM t FINAL ORDER BY id").result_rows == [
        ("a", "new"),
        ("b", "only"),
    ]
    by_limit = "SELECT id, v FROM t ORDER BY id, version DESC LIMIT 1 BY id"
    assert client.query(by_limit).result_rows == [("a", "new"), ("b", "only")]


def test_a_deduplication_token_lands_once(client: Client) -> None:
    client.command(
        "CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a"
        " SETTINGS non_replicated_deduplication_window = 100"
    )
    for token, value in [("0:0-9", 1), ("0:0-9", 2), ("0:10-19", 3)]:
        client.insert(
            "t",
            [[value]],
            column_names=["a"],
            settings={"insert_deduplication_token": token, "async_insert": 0},
        )
    assert client.query("SELECT a FROM t ORDER BY a").result_rows == [(1,), (3,)]


def test_a_big_insert_of_several_frames_lands_whole(client: Client) -> None:
    # clickhouse-connect compresses blocks of about a mebibyte, each as a frame of its own.
    client.command("CREATE TABLE t (a UInt64, b String) ENGINE = MergeTree ORDER BY a")
    rows = 200_000
    text = "a passage of text that makes the row long enough; " * 4
    columns: list[list[object]] = [list(range(rows)), [f"{text}{number}" for number in range(rows)]]
    client.insert("t", columns, column_names=["a", "b"], column_oriented=True)
    seen = client.query("SELECT count(), uniqExact(a), sum(a), any(length(b)) > 200 FROM t")
    assert seen.result_rows == [(rows, rows, rows * (rows - 1) // 2, True)]


@pytest.mark.parametrize("compression", ["lz4", "zstd", "gzip", False])
def test_every_compression_of_the_client_is_read(client: Client, compression: str | bool) -> None:
    client.command("CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a")
    client.write_compression = compression or None  # type: ignore[assignment]
    client.insert("t", [list(range(300_000))], column_names=["a"], column_oriented=True)
    assert client.command("SELECT sum(a) FROM t") == 299_999 * 300_000 // 2


def test_ttl_and_codecs_are_accepted_and_kept(client: Client) -> None:
    client.command(
        "CREATE TABLE t (ts DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)), b String CODEC(ZSTD(1)))"
        " ENGINE = MergeTree PARTITION BY toYYYYMM(ts) ORDER BY ts"
        " TTL toDateTime(ts) + INTERVAL 180 DAY"
    )
    created = str(client.command("SHOW CREATE TABLE t"))
    assert "toIntervalDay(180)" in created
    assert "ZSTD(1)" in created
    client.command("ALTER TABLE t MODIFY TTL toDateTime(ts) + INTERVAL 90 DAY")
    assert "toIntervalDay(90)" in str(client.command("SHOW CREATE TABLE t"))


def test_rows_beyond_their_ttl_go_at_a_merge(client: Client) -> None:
    client.command(
        "CREATE TABLE t (ts DateTime, v UInt8) ENGINE = MergeTree ORDER BY v"
        " TTL ts + INTERVAL 1 DAY"
    )
    client.command("INSERT INTO t SELECT now(), 1 UNION ALL SELECT now() - INTERVAL 2 DAY, 2")
    client.command("OPTIMIZE TABLE t FINAL")
    assert client.query("SELECT v FROM t").result_rows == [(1,)]


def test_views_read_through_and_materialized_views_follow_inserts(client: Client) -> None:
    client.command("CREATE TABLE t (k String, n UInt64) ENGINE = MergeTree ORDER BY k")
    client.command("CREATE VIEW v_t AS SELECT k, sum(n) AS total FROM t GROUP BY k")
    client.command("CREATE TABLE sums (k String, n UInt64) ENGINE = SummingMergeTree ORDER BY k")
    client.command("CREATE MATERIALIZED VIEW to_sums TO sums AS SELECT k, n FROM t")
    client.insert("t", [["a", 1], ["a", 2], ["b", 5]], column_names=["k", "n"])
    assert client.query("SELECT * FROM v_t ORDER BY k").result_rows == [("a", 3), ("b", 5)]
    followed = client.query("SELECT k, sum(n) FROM sums GROUP BY k ORDER BY k")
    assert followed.result_rows == [("a", 3), ("b", 5)]


def test_columns_are_described_for_schema_checks(client: Client) -> None:
    client.command("CREATE TABLE t (a UInt8, b LowCardinality(String)) ENGINE = Memory")
    described = client.query(
        "SELECT name, type FROM system.columns"
        " WHERE database = currentDatabase() AND table = 't' ORDER BY position"
    )
    assert described.result_rows == [("a", "UInt8"), ("b", "LowCardinality(String)")]


def test_readers_and_writers_work_at_the_same_time(new_client: NewClient) -> None:
    setup = new_client()
    setup.command("CREATE TABLE t (writer UInt8, n UInt32) ENGINE = MergeTree ORDER BY (writer, n)")

    def write(writer: int) -> None:
        client = new_client()
        for batch in range(10):
            numbers = list(range(batch * 1000, batch * 1000 + 1000))
            columns = [[writer] * 1000, numbers]
            client.insert("t", columns, column_names=["writer", "n"], column_oriented=True)

    def read(_reader: int) -> list[int]:
        client = new_client()
        return [count(client) for _ in range(20)]

    with ThreadPoolExecutor(6) as pool:
        writers = [pool.submit(write, writer) for writer in range(3)]
        readers = [pool.submit(read, reader) for reader in range(3)]
        for writing in writers:
            writing.result(timeout=60)
        for reading in readers:
            counts = reading.result(timeout=60)
            assert counts == sorted(counts)
            assert all(number % 1000 == 0 for number in counts), "an insert was seen in part"
    assert count(setup) == 30_000


def test_a_slow_query_does_not_hold_up_an_insert(new_client: NewClient) -> None:
    writer, reader = new_client(), new_client()
    writer.command("CREATE TABLE t (a UInt8) ENGINE = MergeTree ORDER BY a")
    slow = "SELECT sum(sleepEachRow(1)) FROM numbers(3)"
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(reader.command, slow, settings={"max_block_size": 1})
        for number in range(20):
            writer.insert("t", [[number]], column_names=["a"])
        assert not waiting.done()
        assert count(writer) == 20
        waiting.result(timeout=60)
