"""`ragwheel migrate`."""

from __future__ import annotations

import argparse

from ragwheel.cli.command import Command, add_connection


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--dry-run", action="store_true", help="show what is missing, change nothing"
    )
    add_connection(parser)


def run(args: argparse.Namespace) -> int:
    from ragwheel.backends.clickhouse import connect
    from ragwheel.backends.migrate import migrate
    from ragwheel.cli.connection import connect_to
    from ragwheel.schemas.settings import ClickHouseSettings, load

    connect_to(args.home)
    settings = load(ClickHouseSettings)
    client = connect(settings, create_database=not args.dry_run)
    done = migrate(client, replicated=settings.clickhouse_replicated, dry_run=args.dry_run)
    verb = "would apply" if args.dry_run else "applied"
    for migration in done:
        print(f"{verb} {migration.version:04d}_{migration.name}")
    if not done:
        print("the schema is up to date")
    return 0


COMMAND = Command(
    name="migrate",
    purpose="bring the ClickHouse schema up to date",
    details="""\
Applies the numbered migrations that are missing, in order. Safe to run again and from several
places; refuses to run when an applied migration was changed afterwards.""",
    examples=("ragwheel migrate --dry-run", "ragwheel migrate"),
    configure=configure,
    run=run,
)
