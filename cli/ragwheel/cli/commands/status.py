"""`ragwheel status`."""

from __future__ import annotations

import argparse

from ragwheel.cli.command import Command, add_connection


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    add_connection(parser)


def run(args: argparse.Namespace) -> int:
    from ragwheel.cli.connection import connect_to
    from ragwheel.operations.extras import require_extra
    from ragwheel.schemas.settings import GraderSettings, IntakeSettings, load

    require_extra("streams")
    from ragwheel.cli.views.overview import as_json, as_text
    from ragwheel.operations.overview import look

    stack = connect_to(args.home)
    overview = look(load(IntakeSettings), load(GraderSettings), stack)
    print(as_json(overview) if args.json else as_text(overview))
    return 0 if overview.healthy else 1


COMMAND = Command(
    name="status",
    purpose="show topics, rows, labels, models, workers, and whether anything is lost",
    details="""\
Per topic: what Kafka accepted, what landed in ClickHouse, what was dead-lettered, what intake has
not read yet, and what none of these explains. The last must be 0.""",
    examples=("ragwheel status", "ragwheel status --json | jq .topics"),
    configure=configure,
    run=run,
    exits=((1, "messages are unaccounted for, or a worker is down"),),
)
