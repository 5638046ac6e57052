"""The same tests against the embedded ClickHouse and, if one is given, against a real server."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from urllib.parse import unquote, urlsplit

import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client
from tests.rigs.servers import Servers

# http://user:password@host:port of a server on which databases may be created and dropped.
_REAL = os.environ.get("RAGWHEEL_TEST_CLICKHOUSE_URL", "")

NewClient = Callable[[], Client]


@pytest.fixture(scope="session", params=["embedded", *(["server"] if _REAL else [])])
def clickhouse_url(request: pytest.FixtureRequest, servers: Servers) -> str:
    """Address of the implementation under test."""
    return _REAL if request.param == "server" else servers.clickhouse().url()


def open_client(url: str, database: str) -> Client:
    """A plain clickhouse-connect client, with nothing adapted to what answers."""
    parts = urlsplit(url)
    return clickhouse_connect.get_client(
        interface=parts.scheme,
        host=parts.hostname or "",
        port=parts.port or 8123,
        username=unquote(parts.username or "default"),
        password=unquote(parts.password or ""),
        database=database,
        autogenerate_session_id=False,
        tz_mode="aware",
    )


@pytest.fixture
def new_client(clickhouse_url: str) -> Iterator[NewClient]:
    """Makes clients on a database of the test's own, which is dropped at the end."""
    name = f"contract_{uuid.uuid4().hex[:10]}"
    admin = open_client(clickhouse_url, "default")
    admin.command(f"CREATE DATABASE {name}")
    clients = [admin]

    def make() -> Client:
        clients.append(open_client(clickhouse_url, name))
        return clients[-1]

    yield make
    admin.command(f"DROP DATABASE {name}")
    for client in clients:
        client.close()


@pytest.fixture
def client(new_client: NewClient) -> Client:
    """One client on the test's own database."""
    return new_client()
