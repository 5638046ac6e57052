"""Forward-only schema migrations from numbered `.sql` files, with a recorded checksum.

A merged file never changes: `migrate` refuses to run when an applied file's text differs from
what was applied. Each has a `.down.sql` that tests run; going back in production is a person's
decision, so no command offers it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from typing import TYPE_CHECKING

from ragwheel.schemas import identity
from ragwheel.schemas.errors import ConfigError

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

_FILE = re.compile(r"(\d{4})_(\w+)\.up\.sql")

_LEDGER = """
CREATE TABLE IF NOT EXISTS schema_migrations
(
    version UInt32,
    name String,
    checksum String,
    applied_at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree
ORDER BY version
"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered step; `up` and `down` are the texts of its files."""

    version: int
    name: str
    up: str
    down: str

    @property
    def checksum(self) -> str:
        return identity.digest("migration", self.up)


def migrations() -> tuple[Migration, ...]:
    """All migrations, oldest first. Numbers are consecutive from 1."""
    folder = resources.files("ragwheel.schemas") / "migrations"
    found = []
    for entry in sorted(folder.iterdir(), key=lambda path: path.name):
        match = _FILE.fullmatch(entry.name)
        if match:
            down = folder / entry.name.replace(".up.sql", ".down.sql")
            found.append(
                Migration(
                    int(match[1]), match[2], entry.read_text("utf-8"), down.read_text("utf-8")
                )
            )
    if [migration.version for migration in found] != list(range(1, len(found) + 1)):
        raise ConfigError(f"migration numbers are not 1..n: {[m.version for m in found]}")
    return tuple(found)


def migrate(client: Client, *, replicated: bool = False, dry_run: bool = False) -> list[Migration]:
    """Apply what is missing, in order. Safe to run again and beside another runner.

    Args:
        replicated: use the Replicated variants of the engines.
        dry_run: apply nothing.

    Returns:
        The migrations that were (or, in a dry run, would be) applied.

    Raises:
        ConfigError: an applied migration's file was changed afterwards.
    """
    applied: dict[int, str] = {}
    if dry_run and not client.command("EXISTS TABLE schema_migrations"):
        return list(migrations())
    if not dry_run:
        client.command(_engine(_LEDGER, replicated))
    for version, checksum in client.query(
        "SELECT version, checksum FROM schema_migrations FINAL"
    ).result_rows:
        applied[version] = checksum
    done = []
    for migration in migrations():
        known = applied.get(migration.version)
        if known is not None:
            if known != migration.checksum:
                raise ConfigError(
                    f"migration {migration.version:04d}_{migration.name} was changed after it was "
                    "applied; restore the file and put the change into a new migration"
                )
            continue
        if not dry_run:
            for statement in statements(migration.up):
                client.command(_engine(statement, replicated))
            client.insert(
                "schema_migrations",
                [[migration.version, migration.name, migration.checksum, datetime.now(UTC)]],
                column_names=["version", "name", "checksum", "applied_at"],
            )
        done.append(migration)
    return done


def statements(sql: str) -> Iterator[str]:
    """Statements of a migration file; they end with `;` at the end of a line."""
    for part in re.split(r";[ \t]*(?:\n|$)", sql):
        body = "\n".join(line for line in part.splitlines() if not line.strip().startswith("--"))
        if body.strip():
            yield part.strip()


def _engine(sql: str, replicated: bool) -> str:
    if not replicated:
        return sql
    return re.sub(r"ENGINE = (\w*MergeTree)", r"ENGINE = Replicated\1", sql)
