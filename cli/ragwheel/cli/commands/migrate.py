"""`ragwheel migrate`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from ragwheel.cli.command import Connection, DryRun, JsonFlag, command, flag


@dataclass(frozen=True, slots=True)
class MigrationLine:
    """One migration.

    Attributes:
        moves_data: it rewrites rows, and needs `--allow-data`.
        statements: its SQL, as it runs.
    """

    name: str
    moves_data: bool
    statements: Sequence[str]

    def text(self, *, dry_run: bool) -> str:
        """What is printed of it: with `dry_run` all of its SQL."""
        if not dry_run:
            return f"applied {self.name}"
        title = f"-- would apply {self.name}{', moves data' * self.moves_data}"
        return "\n".join((title, *(f"{statement};\n" for statement in self.statements)))


@dataclass(frozen=True, slots=True)
class Migrations:
    """What was applied, or would be."""

    dry_run: bool
    migrations: Sequence[MigrationLine]


@command("ragwheel migrate --dry-run", "ragwheel migrate", "ragwheel migrate --allow-data")
def run(
    dry_run: DryRun = False,
    allow_data: Annotated[
        bool, flag("--allow-data", "also apply migrations that move data")
    ] = False,
    as_json: JsonFlag = False,
    home: Connection = None,
) -> int:
    """Applies the numbered migrations that are missing, in order. Safe to run again, from several
    places, and after a run that died. Refuses when an applied migration was changed afterwards,
    when another run is at work for longer than a minute, and, without --allow-data, to rewrite
    rows. --dry-run prints the SQL that is missing.
    """
    from ragwheel.backends.clickhouse import connect
    from ragwheel.backends.migrate import migrate, pending
    from ragwheel.cli.connection import connect_to
    from ragwheel.cli.output import report, tell
    from ragwheel.schemas.loading import load
    from ragwheel.schemas.migrations import statements
    from ragwheel.schemas.settings import ClickHouseSettings

    connect_to(home)
    settings = load(ClickHouseSettings)
    replicated = settings.clickhouse_replicated
    client = connect(settings, create_database=not dry_run)
    found = (
        pending(client)
        if dry_run
        else migrate(client, replicated=replicated, allow_data=allow_data, tell=tell)
    )
    done = [
        MigrationLine(each.label, each.moves_data, list(statements(each.up, replicated=replicated)))
        for each in found
    ]
    text = "\n".join(each.text(dry_run=dry_run) for each in done) or "the schema is up to date"
    report(Migrations(dry_run, done), text, as_json=as_json)
    return 0
