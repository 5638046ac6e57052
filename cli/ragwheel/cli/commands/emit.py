"""`ragwheel emit`."""

from __future__ import annotations

from typing import Annotated

from ragwheel.cli.command import Connection, JsonFlag, command, flag, option


@command(
    "ragwheel emit --file events.jsonl",
    "zcat searches-of-2024.jsonl.gz | ragwheel emit --file - --backfill --dry-run",
    exits={65: "some lines are invalid"},
)
def run(
    file: Annotated[str, option("PATH", "one JSON event per line; - reads stdin")],
    dry_run: Annotated[bool, flag("--dry-run", "check the events, send nothing")] = False,
    backfill: Annotated[
        bool, flag("--backfill", "send events of any age, and mark them so that intake takes them")
    ] = False,
    as_json: JsonFlag = False,
    home: Connection = None,
) -> int:
    """Each line is one event: an object whose "event" is query, retrieval, feedback or chunk
    (docs/events.md has the fields). Lines that intake would not take, by its own rules and settings
    (RAGWHEEL_MAX_EVENT_AGE_DAYS among them), are named on stderr and left out; the others are sent
    and confirmed by the broker.
    """
    from ragwheel.cli.connection import connect_to
    from ragwheel.cli.output import report, tell
    from ragwheel.operations.emit import Rules, emit_lines, open_lines
    from ragwheel.schemas.acceptance import Times
    from ragwheel.schemas.errors import InvalidEventError
    from ragwheel.schemas.loading import load
    from ragwheel.schemas.settings import AcceptanceSettings, KafkaSettings

    connect_to(home)
    settings = None if dry_run else load(KafkaSettings)
    rules = Rules(Times.of(load(AcceptanceSettings)), backfill)
    with open_lines(file) as lines:
        done = emit_lines(
            lines, settings, rules, on_error=lambda number, error: tell(f"line {number}: {error}")
        )

    total = f"{done.delivered.total():,} {'valid' if dry_run else 'delivered'}"
    each = ", ".join(f"{count:,} {topic}" for topic, count in sorted(done.delivered.items()))
    text = f"{total} ({each or 'nothing'}), {done.invalid:,} invalid"
    report(done, text, as_json=as_json)
    return InvalidEventError.exit_code if done.invalid else 0
