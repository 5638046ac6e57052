"""Real servers shared by all tests: one Kafka broker and one ClickHouse per session.

Tests stay apart by names, not by servers: each test gets its own topic prefix and database. A test
that kills a server takes one of its own (`own_clickhouse`, `own_kafka`).
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from ragwheel.backends.clickhouse import connect
from ragwheel.schemas.settings import ClickHouseSettings, KafkaSettings
from ragwheel.stack.clickhouse import ClickHouseFront
from ragwheel.stack.kafka import KafkaBroker

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


class GivenClickHouse:
    """A server that somebody else runs; tests use it and leave it alone."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")

    def url(self, database: str = "default") -> str:
        """For RAGWHEEL_CLICKHOUSE_URL."""
        return f"{self._url}/{database}"


ClickHouseServer = ClickHouseFront | GivenClickHouse


@pytest.fixture(scope="session")
def kafka_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaBroker]:
    """One real broker for the session; use `topic_prefix` to stay apart."""
    with KafkaBroker(tmp_path_factory.mktemp("kafka")) as broker:
        yield broker


@pytest.fixture(scope="session")
def clickhouse_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouseServer]:
    """One ClickHouse for the session; use `database` to stay apart."""
    if REAL_CLICKHOUSE:
        yield GivenClickHouse(REAL_CLICKHOUSE)
        return
    with ClickHouseFront(tmp_path_factory.mktemp("clickhouse")) as front:
        yield front


@pytest.fixture
def own_clickhouse(tmp_path: Path) -> Iterator[ClickHouseFront]:
    """An embedded server of the test's own, to be killed and restarted."""
    with ClickHouseFront(tmp_path / "clickhouse") as front:
        yield front


@pytest.fixture
def own_kafka(tmp_path: Path) -> Iterator[KafkaBroker]:
    """A broker of the test's own, to be killed and restarted."""
    with KafkaBroker(tmp_path / "kafka") as broker:
        yield broker


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
