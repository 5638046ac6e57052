"""What only the embedded ClickHouse promises: its process, its data directory, its manners."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client

from ragwheel.stack.clickhouse import ClickHouseFront
from ragwheel.stack.processes import ProcessFailedError

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouseFront]:
    with ClickHouseFront(tmp_path_factory.mktemp("clickhouse")) as started:
        yield started


def connect(front: ClickHouseFront) -> Client:
    return clickhouse_connect.get_client(host="127.0.0.1", port=front.port, password=front.password)


def request(front: ClickHouseFront, query: str, **headers: str) -> tuple[int, str]:
    url = f"http://127.0.0.1:{front.port}/"
    shown = {"X-ClickHouse-Key": front.password, **headers}
    http = urllib.request.Request(url, data=query.encode(), headers=shown)
    try:
        with urllib.request.urlopen(http, timeout=30) as response:  # noqa: S310 loopback
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_a_kill_keeps_every_insert_that_was_answered(tmp_path: Path) -> None:
    with ClickHouseFront(tmp_path) as front:
        client = connect(front)
        client.command(
            "CREATE TABLE t (a UInt64) ENGINE = ReplacingMergeTree ORDER BY a"
            " SETTINGS non_replicated_deduplication_window = 100"
        )
        for batch in range(20):
            numbers = list(range(batch * 1000, batch * 1000 + 1000))
            client.insert(
                "t",
                [numbers],
                column_names=["a"],
                column_oriented=True,
                settings={"insert_deduplication_token": f"batch-{batch}"},
            )
        port = front.port
        front.kill()
        front.start()

        assert front.port == port, "clients would have to be told"
        assert client.command("SELECT count() FROM t") == 20_000
        # The token window survives as well, so a batch sent again lands once.
        client.insert(
            "t", [[1]], column_names=["a"], settings={"insert_deduplication_token": "batch-0"}
        )
        assert client.command("SELECT count() FROM t") == 20_000
        client.close()


def test_a_second_process_on_the_same_data_is_refused_in_one_line(front: ClickHouseFront) -> None:
    second = subprocess.run(
        [sys.executable, "-m", "ragwheel.stack.clickhouse", "--data-dir", str(front.data_dir)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert second.returncode == 78
    assert second.stderr.count("\n") == 1
    assert f"{front.data_dir} is in use by process {front.pid}" in second.stderr


def test_a_port_in_use_is_refused_by_number(front: ClickHouseFront, tmp_path: Path) -> None:
    with pytest.raises(ProcessFailedError, match=f"127.0.0.1:{front.port}.*choose another"):
        ClickHouseFront(tmp_path, port=front.port).start()


def test_two_fronts_run_side_by_side(front: ClickHouseFront, tmp_path: Path) -> None:
    with ClickHouseFront(tmp_path) as other:
        connect(other).command("CREATE TABLE only_here (a UInt8) ENGINE = Memory")
        assert connect(front).command("EXISTS TABLE only_here") == 0


def test_pages_in_a_browser_cannot_reach_the_data(front: ClickHouseFront) -> None:
    assert request(front, "SELECT 1") == (200, "1\n")
    status, text = request(front, "SELECT 1", Origin="http://example.org")
    assert status == 403
    assert "ACCESS_DENIED" in text
    assert request(front, "SELECT 1", Host="rebound.example.org")[0] == 403


def test_a_get_request_changes_nothing(front: ClickHouseFront) -> None:
    url = f"http://127.0.0.1:{front.port}/?query=CREATE+TABLE+g+(a+UInt8)+ENGINE=Memory"
    http = urllib.request.Request(url, headers={"X-ClickHouse-Key": front.password})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(http, timeout=30)  # noqa: S310 loopback
    assert refused.value.headers["X-ClickHouse-Exception-Code"] == "164"
    refused.value.close()


def test_an_encoding_that_lies_is_an_error_and_not_data(front: ClickHouseFront) -> None:
    headers = {"Content-Encoding": "zstd"}
    status, text = request(front, "SELECT 1", **headers)
    assert status == 400
    assert "the body is not valid zstd" in text
    status, text = request(front, "SELECT 1", **{"Content-Encoding": "snappy"})
    assert "Content-Encoding 'snappy' is not supported" in text


def test_default_format_and_the_zone_are_those_of_a_server(front: ClickHouseFront) -> None:
    url = f"http://127.0.0.1:{front.port}/?default_format=JSON"
    headers = {"X-ClickHouse-Key": front.password}
    http = urllib.request.Request(url, data=b"SELECT timezone() AS zone", headers=headers)
    with urllib.request.urlopen(http, timeout=30) as response:  # noqa: S310 loopback
        assert json.load(response)["data"] == [{"zone": "UTC"}]
        assert response.headers["X-ClickHouse-Timezone"] == "UTC"


def test_form_encoded_queries_are_read(front: ClickHouseFront) -> None:
    client = clickhouse_connect.get_client(
        host="127.0.0.1",
        port=front.port,
        password=front.password,
        form_encode_query_params=True,
    )
    assert client.query("SELECT {v:String}", parameters={"v": "ü"}).result_rows == [("ü",)]
    client.close()
