"""`ragwheel emit`."""

from __future__ import annotations

import argparse

from ragwheel.cli.command import Command, add_connection


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--file", required=True, metavar="PATH", help="one JSON event per line; - reads stdin"
    )
    parser.add_argument("--dry-run", action="store_true", help="check the events, send nothing")
    add_connection(parser)


def run(args: argparse.Namespace) -> int:
    import sys

    from ragwheel.cli.connection import connect_to
    from ragwheel.operations.emit import emit_lines, open_lines
    from ragwheel.schemas.errors import InvalidEventError
    from ragwheel.schemas.settings import KafkaSettings, load

    settings = None
    if not args.dry_run:
        connect_to(args.home)
        settings = load(KafkaSettings)
    with open_lines(args.file) as lines:
        report = emit_lines(
            lines,
            settings,
            on_error=lambda number, error: print(f"line {number}: {error}", file=sys.stderr),
        )
    sent = f"{report.delivered.total():,} {'valid' if args.dry_run else 'delivered'}"
    counts = ", ".join(f"{count:,} {topic}" for topic, count in sorted(report.delivered.items()))
    print(f"{sent} ({counts or 'nothing'}), {report.invalid:,} invalid")
    return InvalidEventError.exit_code if report.invalid else 0


COMMAND = Command(
    name="emit",
    purpose="send events from a file to Kafka",
    details="""\
Each line is one event: an object whose "event" is query, retrieval, feedback or chunk. Invalid
lines are named on stderr and left out; the valid ones are sent and confirmed by the broker.""",
    examples=(
        "ragwheel emit --file events.jsonl",
        """echo '{"event": "query", "query_id": "q1", "ts": "2026-01-31T12:00:00Z", "text": "?"}' \\
    | ragwheel emit --file -""",
    ),
    configure=configure,
    run=run,
    exits=((65, "some lines are invalid"),),
)
