"""Servers of the run, and how the tests are spread over workers.

Tests stay apart by names, not by servers: each test gets its own topic prefix and database. A test
that kills a server takes one of its own (`own_clickhouse`, `own_kafka`).

With pytest-xdist (`make test`) the tests of a file stay on one worker, because they share what is
costly to make. `pytest.mark.xdist_group` makes one group over several files; `pytest.mark.spread`
says that the tests of a file share nothing but the servers. The longest go first.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.rigs.servers import (
    OwnServers,
    Servers,
    ServersOfController,
    SharedClickHouse,
    SharedKafka,
)

from ragwheel.backends.clickhouse import connect
from ragwheel.schemas.loading import load
from ragwheel.schemas.settings import ClickHouseSettings, KafkaSettings
from ragwheel.stack.clickhouse import ClickHouseFront
from ragwheel.stack.kafka import KafkaBroker

#: A server to test against instead of the embedded one: http://user:password@host:port
REAL_CLICKHOUSE = os.environ.get("RAGWHEEL_TEST_CLICKHOUSE_URL", "")

_SERVERS = pytest.StashKey[Servers]()
_OWN_SERVERS = pytest.StashKey[OwnServers]()


def pytest_configure(config: pytest.Config) -> None:
    """Servers belong to this process, or to the controller of this worker."""
    worker = getattr(config, "workerinput", None)
    if worker is not None:
        config.stash[_SERVERS] = ServersOfController(worker["servers"])
        # A worker has one core; threads of torch would only wait for each other.
        os.environ["OMP_NUM_THREADS"] = "1"
        return
    config.stash[_OWN_SERVERS] = OwnServers()
    config.stash[_SERVERS] = config.stash[_OWN_SERVERS]


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker where to ask for servers."""
    node.workerinput["servers"] = node.config.stash[_OWN_SERVERS].open_door()


def pytest_unconfigure(config: pytest.Config) -> None:
    """The servers end with the run."""
    if (servers := config.stash.get(_OWN_SERVERS, None)) is not None:
        servers.stop()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In a worker: tests of a file stay together, and the longest go first."""
    if not hasattr(config, "workerinput"):
        return
    for item in items:
        if not (item.get_closest_marker("xdist_group") or item.get_closest_marker("spread")):
            item.add_marker(pytest.mark.xdist_group(str(item.path.relative_to(config.rootpath))))
    items.sort(key=_turn)


def _turn(item: pytest.Item) -> int:
    groups = [marker.args[0] for marker in item.iter_markers("xdist_group")]
    if "demo" in groups:
        return 0
    if item.get_closest_marker("slow"):
        return 1
    return 2 if item.get_closest_marker("integration") else 3


@pytest.fixture(autouse=True)
def only_the_settings_of_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings of the developer's shell must not change what is tested."""
    for name in list(os.environ):
        if name.startswith("RAGWHEEL_") and name not in {
            "RAGWHEEL_CACHE_DIR",
            "RAGWHEEL_CI",
            "RAGWHEEL_TEST_CLICKHOUSE_URL",
            "RAGWHEEL_TEST_DRILL_S",
        }:
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def servers(pytestconfig: pytest.Config) -> Servers:
    """Where this run's servers are; asking for one starts it."""
    return pytestconfig.stash[_SERVERS]


@pytest.fixture(scope="session")
def kafka_broker(servers: Servers) -> SharedKafka:
    """One real broker for the run; use `topic_prefix` to stay apart."""
    return servers.kafka()


@pytest.fixture(scope="session")
def clickhouse_server(servers: Servers) -> SharedClickHouse:
    """One ClickHouse for the run; use `database` to stay apart."""
    if REAL_CLICKHOUSE:
        return SharedClickHouse(REAL_CLICKHOUSE.rstrip("/"))
    return servers.clickhouse()


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
def database(clickhouse_server: SharedClickHouse) -> Iterator[str]:
    """Name of a database that is created for the test and dropped after it."""
    name = f"t_{uuid.uuid4().hex[:10]}"
    yield name
    settings = load(ClickHouseSettings, clickhouse_url=clickhouse_server.url("default"))
    client = connect(settings)
    client.command(f"DROP DATABASE IF EXISTS {name}")
    client.close()


@pytest.fixture
def kafka_settings(kafka_broker: SharedKafka, topic_prefix: str) -> KafkaSettings:
    """The session's broker with the test's prefix; topics are not created yet."""
    return KafkaSettings(
        kafka_bootstrap_servers=kafka_broker.bootstrap_servers, topic_prefix=topic_prefix
    )


@pytest.fixture
def clickhouse_settings(clickhouse_server: SharedClickHouse, database: str) -> ClickHouseSettings:
    """The session's ClickHouse with the test's database; not created or migrated yet."""
    url = clickhouse_server.url(database)
    assert urlsplit(url).path == f"/{database}"
    return load(ClickHouseSettings, clickhouse_url=url)
