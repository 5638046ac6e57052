"""How much the HTTP front costs over chDB in the same process, with the same client library.

    python bench/clickhouse_front.py [--rows 500000] [--batch 50000]

Prints rows per second of narrow inserts and the latency of small queries for both, and the ratio.
Figures move by tens of percent on a busy machine; the ratio is steadier than either side.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import clickhouse_connect
from clickhouse_connect.driver.client import Client

from ragwheel.stack.clickhouse import ClickHouseFront

_QUERIES = 200
_COLUMNS = ["id", "ts", "name", "value"]
_TABLE = (
    "CREATE TABLE narrow (id UInt64, ts DateTime64(3), name LowCardinality(String), value Float64)"
    " ENGINE = MergeTree ORDER BY id"
)


def batch_of(start: int, rows: int) -> list[list[object]]:
    """Columns of one batch; times as integer milliseconds, the quick way to write them."""
    ids: list[object] = list(range(start, start + rows))
    return [
        ids,
        [1_700_000_000_000 + number for number in range(rows)],
        [f"name{number % 50}" for number in range(rows)],
        [number * 0.5 for number in range(rows)],
    ]


def insert_rate(client: Client, rows: int, batch: int) -> float:
    """Rows per second, prepared lists in, durable part out."""
    client.command(_TABLE)
    # The client imports pandas and pyarrow at its first insert, which takes seconds.
    client.insert("narrow", batch_of(0, 1), column_names=_COLUMNS, column_oriented=True)
    client.command("TRUNCATE TABLE narrow")
    context = client.create_insert_context("narrow", _COLUMNS, column_oriented=True)
    batches = [batch_of(start, min(batch, rows - start)) for start in range(0, rows, batch)]
    began = time.perf_counter()
    for data in batches:
        context.data = data
        client.insert(context=context)
    elapsed_s = time.perf_counter() - began
    assert client.command("SELECT count() FROM narrow") == rows  # noqa: S101 a wrong count is no figure
    return rows / elapsed_s


def latency_ms(call: Callable[[], object]) -> float:
    """Median over many calls."""
    times = []
    for _ in range(_QUERIES):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return statistics.median(times) * 1000


def measure(client: Client, rows: int, batch: int) -> tuple[float, float, float]:
    """Insert rate, latency of the smallest query, rate of reading all rows back."""
    rate = insert_rate(client, rows, batch)
    small = latency_ms(lambda: client.query("SELECT 1"))
    began = time.perf_counter()
    client.query("SELECT * FROM narrow")
    return rate, small, rows / (time.perf_counter() - began)


def main() -> None:
    """Measures both and prints the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--batch", type=int, default=50_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        with ClickHouseFront(Path(folder) / "front") as front:
            started_s = time.perf_counter() - began
            client = clickhouse_connect.get_client(
                host="127.0.0.1",
                port=front.port,
                password=front.password,
                autogenerate_session_id=False,
            )
            over_http = measure(client, arguments.rows, arguments.batch)
            client.close()
        client = clickhouse_connect.get_client(interface="chdb", path=f"{folder}/inside")
        in_process = measure(client, arguments.rows, arguments.batch)
        client.close()
    print(f"front ready after {started_s:.2f} s")
    print(f"{'':24}{'over HTTP':>14}{'in process':>14}{'ratio':>8}")
    names = ("inserted rows/s", "SELECT 1, median ms", "read rows/s")
    for name, http, inside in zip(names, over_http, in_process, strict=True):
        print(f"{name:24}{http:>14,.1f}{inside:>14,.1f}{http / inside:>8.2f}")


if __name__ == "__main__":
    main()
