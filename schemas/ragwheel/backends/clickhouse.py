"""Opening a clickhouse-connect client from the settings, with errors a person can act on."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from ragwheel.schemas.errors import ConfigError, DependencyError, UnavailableError
from ragwheel.schemas.settings import ClickHouseSettings

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

_FIX = "expected http(s)://user:password@host:port/database in RAGWHEEL_CLICKHOUSE_URL"


def database_of(settings: ClickHouseSettings) -> str:
    """Name of the database in the URL.

    Raises:
        ConfigError: there is none, or it is not a plain identifier.
    """
    name = urlsplit(settings.clickhouse_url).path.strip("/") or "ragwheel"
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise ConfigError(f"{name!r} is not a database name: {_FIX}")
    return name


def connect(settings: ClickHouseSettings, *, create_database: bool = False) -> Client:
    """A client whose default database is the one of the URL.

    A client serves one query at a time per thread of use; open one per thread.

    Args:
        create_database: create the database first (migrations do; readers do not).

    Raises:
        ConfigError: the URL cannot be read or the credentials are refused.
        UnavailableError: nothing answers there.
        DependencyError: clickhouse-connect is not installed.
    """
    try:
        import clickhouse_connect
        from clickhouse_connect.driver.exceptions import DatabaseError, OperationalError
    except ImportError:
        raise DependencyError(
            "clickhouse-connect", "pip install 'ragwheel[streams]' or 'ragwheel[trainers]'"
        ) from None

    url = urlsplit(settings.clickhouse_url)
    try:
        port = url.port
    except ValueError:
        raise ConfigError(f"{settings.clickhouse_url!r} has no valid port: {_FIX}") from None
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ConfigError(f"{_shown(settings)!r} cannot be read: {_FIX}")
    database = database_of(settings)
    try:
        client = clickhouse_connect.get_client(
            interface=url.scheme,
            host=url.hostname,
            port=port or (8443 if url.scheme == "https" else 8123),
            username=settings.clickhouse_user or unquote(url.username or "default"),
            password=settings.clickhouse_password.get_secret_value() or unquote(url.password or ""),
            connect_timeout=5,
            send_receive_timeout=120,
            # Sessions would serialise queries of one client; nothing here needs one.
            autogenerate_session_id=False,
            # Rows are deduplicated by identity; retrying a read-only query is always safe.
            query_retries=2,
        )
        if create_database:
            client.command(f"CREATE DATABASE IF NOT EXISTS {database}")
    except OperationalError as error:
        raise UnavailableError(
            f"ClickHouse does not answer at {_shown(settings)!r} ({_first_line(error)}): "
            "start it (`ragwheel up`) or set RAGWHEEL_CLICKHOUSE_URL"
        ) from None
    except DatabaseError as error:
        raise ConfigError(
            f"ClickHouse at {_shown(settings)!r} refused the connection ({_first_line(error)}): "
            "check user and password in RAGWHEEL_CLICKHOUSE_URL"
        ) from None
    client.database = database
    return client


def _shown(settings: ClickHouseSettings) -> str:
    """The URL without its password."""
    return re.sub(r"//([^:/@]*):[^@]*@", r"//\1:…@", settings.clickhouse_url)


def _first_line(error: Exception) -> str:
    # The HTTP library wraps the one fact in four layers of words.
    if refused := re.search(r"\[Errno -?\d+\] ([^'\")\n]+)", str(error)):
        return refused[1]
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
