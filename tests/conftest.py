"""Real servers shared by all tests: one Kafka broker and one ClickHouse per session.

Tests stay apart by names, not by servers: each test gets its own topic prefix and database. A test
that kills a server starts its own (`new_clickhouse`, or KafkaBroker), so that others keep theirs.
"""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from ragwheel.infra.kafka import KafkaBroker
from ragwheel.infra.processes import ManagedProcess
from ragwheel.schemas.clickhouse.connection import connect
from ragwheel.schemas.settings import ClickHouseSettings, KafkaSettings

#: A server to test against instead of the embedded one: http://user:password@host:port
REAL_CLICKHOUSE = os.environ.get("RAGWHEEL_TEST_CLICKHOUSE_URL", "")


@pytest.fixture(autouse=True)
def only_the_settings_of_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings of the developer's shell must not change what is tested."""
    for name in list(os.environ):
        if name.startswith("RAGWHEEL_") and name not in {
            "RAGWHEEL_CACHE_DIR",
            "RAGWHEEL_CI",
            "RAGWHEEL_TEST_CLICKHOUSE_URL",
        }:
            monkeypatch.delenv(name)


class ClickHouseServer:
    """A ClickHouse to test against: the embedded one as a child process, or a given server.

    Args:
        data_dir: of the embedded server; a restart finds its data there.
        url: of a given server; then nothing is started and `kill` is refused.
    """

    def __init__(self, data_dir: Path, url: str = "") -> None:
        self._url = url.rstrip("/")
        self._data_dir = data_dir
        self._port = 0
        self._process: ManagedProcess | None = None

    def url(self, database: str) -> str:
        """Value of RAGWHEEL_CLICKHOUSE_URL for a database of this server."""
        return f"{self._url}/{database}"

    def start(self) -> None:
        """Start the embedded server, on the port of its last run. No-op for a given server."""
        if self._url and not self._port:
            return
        port_file = self._data_dir / "port"
        port_file.unlink(missing_ok=True)
        command = [sys.executable, "-m", "ragwheel.infra.clickhouse", "--port", str(self._port)]
        command += ["--data-dir", str(self._data_dir / "data"), "--port-file", str(port_file)]
        self._process = ManagedProcess(
            "clickhouse",
            command,
            log_path=self._data_dir / "clickhouse.log",
            ready=lambda: port_file.exists() and port_file.read_text().strip().isdigit(),
        )
        self._process.start()
        self._port = int(port_file.read_text())
        self._url = f"http://default:@127.0.0.1:{self._port}"

    def kill(self) -> None:
        """SIGKILL, as a crash would."""
        assert self._process is not None, "a given server is not ours to kill"
        self._process.kill()

    def stop(self) -> None:
        """End the embedded server; leaves a given one alone."""
        if self._process is not None:
            self._process.stop()


@pytest.fixture(scope="session")
def kafka_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaBroker]:
    """One real broker for the session; use `topic_prefix` to stay apart."""
    with KafkaBroker(tmp_path_factory.mktemp("kafka")) as broker:
        yield broker


@pytest.fixture(scope="session")
def clickhouse_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouseServer]:
    """One ClickHouse for the session; use `database` to stay apart."""
    server = ClickHouseServer(tmp_path_factory.mktemp("clickhouse"), REAL_CLICKHOUSE)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def new_clickhouse(tmp_path: Path) -> Iterator[Callable[[], ClickHouseServer]]:
    """Makes embedded servers of the test's own, to be killed and restarted."""
    servers: list[ClickHouseServer] = []

    def make() -> ClickHouseServer:
        folder = tmp_path / f"clickhouse{len(servers)}"
        folder.mkdir()
        server = ClickHouseServer(folder)
        server.start()
        servers.append(server)
        return server

    yield make
    for server in servers:
        server.stop()


@pytest.fixture
def topic_prefix() -> str:
    """A prefix that makes the test's topics its own."""
    return f"t{uuid.uuid4().hex[:10]}."


@pytest.fixture
def database(clickhouse_server: ClickHouseServer) -> Iterator[str]:
    """Name of a database that is created for the test and dropped after it."""
    name = f"t_{uuid.uuid4().hex[:10]}"
    yield name
    settings = ClickHouseSettings(clickhouse_url=clickhouse_server.url("default"))
    client = connect(settings)
    client.command(f"DROP DATABASE IF EXISTS {name}")
    client.close()


@pytest.fixture
def kafka_settings(kafka_broker: KafkaBroker, topic_prefix: str) -> KafkaSettings:
    """The session's broker with the test's prefix; topics are not created yet."""
    return KafkaSettings(
        kafka_bootstrap_servers=kafka_broker.bootstrap_servers, topic_prefix=topic_prefix
    )


@pytest.fixture
def clickhouse_settings(clickhouse_server: ClickHouseServer, database: str) -> ClickHouseSettings:
    """The session's ClickHouse with the test's database; not created or migrated yet."""
    url = clickhouse_server.url(database)
    assert urlsplit(url).path == f"/{database}"
    return ClickHouseSettings(clickhouse_url=url)
