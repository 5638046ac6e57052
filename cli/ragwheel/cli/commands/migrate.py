"""`ragwheel migrate`."""

from __future__ import annotations

import argparse

from ragwheel.cli.command import Command, add_connection


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--dry-run", action="store_true", help="print the SQL that is missing, change nothing"
    )
    parser.add_argument(
        "--allow-data", action="store_true", help="also apply migrations that move data"
    )
    add_connection(parser)


def run(args: argparse.Namespace) -> int:
    from ragwheel.backends.clickhouse import connect
    from ragwheel.backends.migrate import migrate, pending
    from ragwheel.cli.connection import connect_to
    from ragwheel.schemas.migrations import statements
    from ragwheel.schemas.settings import ClickHouseSettings, load

    connect_to(args.home)
    settings = load(ClickHouseSettings)
    replicated = settings.clickhouse_replicated
    client = connect(settings, create_database=not args.dry_run)
    if args.dry_run:
        found = pending(client)
        for migration in found:
            print(f"-- would apply {migration.label}{', moves data' * migration.moves_data}")
            for statement in statements(migration.up, replicated=replicated):
                print(f"{statement};\n")
    else:
        found = migrate(client, replicated=replicated, allow_data=args.allow_data, tell=print)
        for migration in found:
            print(f"applied {migration.label}")
    if not found:
        print("the schema is up to date")
    return 0


COMMAND = Command(
    name="migrate",
    purpose="bring the ClickHouse schema up to date",
    details="""\
Applies the numbered migrations that are missing, in order. Safe to run again, from several places,
and after a run that died. Refuses when an applied migration was changed afterwards, when another
run is at work for longer than a minute, and, without --allow-data, to rewrite rows.""",
    examples=("ragwheel migrate --dry-run", "ragwheel migrate", "ragwheel migrate --allow-data"),
    configure=configure,
    run=run,
)
