"""Opening a clickhouse-connect client from the settings, with errors a person can act on."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from ragwheel.schemas.errors import ConfigError, DependencyError, UnavailableError
from ragwheel.schemas.settings import ClickHouseSettings

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client


def connect(settings: ClickHouseSettings, *, create_database: bool = False) -> Client:
    """A client whose default database is the one of the URL.

    A client serves one query at a time per thread of use; open one per thread.

    Args:
        create_database: create the database first (migrations do; readers do not).

    Raises:
        ConfigError: the URL cannot be read, or the credentials or the certificate are refused.
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

    url = settings.clickhouse_url
    at = url.address()
    if (ca := settings.clickhouse_ca_location) and not Path(ca).is_file():
        raise ConfigError(f"RAGWHEEL_CLICKHOUSE_CA_LOCATION: there is no file {ca!r}")
    try:
        client = clickhouse_connect.get_client(
            interface=at.scheme,
            host=at.host,
            port=at.port,
            username=settings.clickhouse_user or at.user,
            password=settings.clickhouse_password.get_secret_value() or at.password,
            ca_cert=ca or None,
            connect_timeout=5,
            send_receive_timeout=120,
            # Sessions would serialise queries of one client; nothing here needs one.
            autogenerate_session_id=False,
            # Rows are deduplicated by identity; retrying a read-only query is always safe.
            query_retries=2,
        )
        if create_database:
            client.command(f"CREATE DATABASE IF NOT EXISTS {at.database}")
    except OperationalError as error:
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            raise ConfigError(
                f"the certificate of ClickHouse at {url} is not trusted ({_first_line(error)}): "
                "check RAGWHEEL_CLICKHOUSE_CA_LOCATION and the host name in RAGWHEEL_CLICKHOUSE_URL"
            ) from None
        raise UnavailableError(
            f"ClickHouse does not answer at {url} ({_first_line(error)}): "
            "start it (`ragwheel up`) or set RAGWHEEL_CLICKHOUSE_URL"
        ) from None
    except DatabaseError as error:
        raise ConfigError(
            f"ClickHouse at {url} refused the connection ({_first_line(error)}): check "
            "RAGWHEEL_CLICKHOUSE_USER and RAGWHEEL_CLICKHOUSE_PASSWORD, or those in "
            "RAGWHEEL_CLICKHOUSE_URL"
        ) from None
    client.database = at.database
    return client


def _first_line(error: Exception) -> str:
    # The HTTP library wraps the one fact in four layers of words.
    if fact := re.search(r"(?:\[Errno -?\d+\]|verify failed:) ([^'\"()\n]+)", str(error)):
        return fact[1].strip()
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
