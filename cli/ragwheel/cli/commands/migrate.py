"""`ragwheel migrate`."""

from __future__ import annotations

from typing import Annotated

import typer

from ragwheel.cli.command import Command, Connection, DryRun, Json


def run(
    dry_run: DryRun = False,
    allow_data: Annotated[
        bool, typer.Option("--allow-data", help="also apply migrations that move data")
    ] = False,
    as_json: Json = False,
    home: Connection = None,
) -> int:
    from ragwheel.backends.clickhouse import connect
    from ragwheel.backends.migrate import migrate, pending
    from ragwheel.cli.connection import connect_to
    from ragwheel.cli.output import show, show_json, tell
    from ragwheel.cli.reports import MigrationLine, Migrations
    from ragwheel.schemas.migrations import statements
    from ragwheel.schemas.settings import ClickHouseSettings, load

    connect_to(home)
    settings = load(ClickHouseSettings)
    replicated = settings.clickhouse_replicated
    client = connect(settings, create_database=not dry_run)
    try:
        found = (
            pending(client)
            if dry_run
            else migrate(client, replicated=replicated, allow_data=allow_data, tell=tell)
        )
    finally:
        client.close()
    lines = [
        MigrationLine(each.label, each.moves_data, list(statements(each.up, replicated=replicated)))
        for each in found
    ]
    if as_json:
        show_json(Migrations(dry_run, lines))
    elif dry_run:
        for line in lines:
            show(f"-- would apply {line.name}{', moves data' * line.moves_data}")
            show(*(f"{statement};\n" for statement in line.statements))
    else:
        show(*(f"applied {line.name}" for line in lines))
    if not lines and not as_json:
        show("the schema is up to date")
    return 0


COMMAND = Command(
    run=run,
    details="""\
Applies the numbered migrations that are missing, in order. Safe to run again, from several places,
and after a run that died. Refuses when an applied migration was changed afterwards, when another
run is at work for longer than a minute, and, without --allow-data, to rewrite rows. --dry-run
prints the SQL that is missing.""",
    examples=("ragwheel migrate --dry-run", "ragwheel migrate", "ragwheel migrate --allow-data"),
)
