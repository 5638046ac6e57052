"""ClickHouse: connection, migrations, and how records become rows."""

from ragwheel.schemas.clickhouse.connection import connect
from ragwheel.schemas.clickhouse.migrate import Migration, migrate, migrations

__all__ = ["Migration", "connect", "migrate", "migrations"]
