"""`ragwheel emit`."""

from __future__ import annotations

from typing import Annotated

from ragwheel.cli.command import Connection, JsonFlag, command, flag, option


@command(
    "ragwheel emit --file events.jsonl",
    """echo '{"event": "query", "query_id": "q1", "ts": "2026-01-31T12:00:00Z", "text": "?"}' \\
    | ragwheel emit --file -""",
    exits={65: "some lines are invalid"},
)
def run(
    file: Annotated[str, option("PATH", "one JSON event per line; - reads stdin")],
    dry_run: Annotated[bool, flag("--dry-run", "check the events, send nothing")] = False,
    as_json: JsonFlag = False,
    home: Connection = None,
) -> int:
    """Each line is one event: an object whose "event" is query, retrieval, feedback or chunk.
    Invalid lines are named on stderr and left out; the valid ones are sent and confirmed by the
    broker.
    """
    from ragwheel.cli.connection import connect_to
    from ragwheel.cli.output import report, tell
    from ragwheel.operations.emit import emit_lines, open_lines
    from ragwheel.schemas.errors import InvalidEventError
    from ragwheel.schemas.settings import KafkaSettings, load

    settings = None
    if not dry_run:
        connect_to(home)
        settings = load(KafkaSettings)
    with open_lines(file) as lines:
        done = emit_lines(
            lines, settings, on_error=lambda number, error: tell(f"line {number}: {error}")
        )

    total = f"{done.delivered.total():,} {'valid' if dry_run else 'delivered'}"
    each = ", ".join(f"{count:,} {topic}" for topic, count in sorted(done.delivered.items()))
    text = f"{total} ({each or 'nothing'}), {done.invalid:,} invalid"
    report(done, text, as_json=as_json)
    return InvalidEventError.exit_code if done.invalid else 0
