"""`ragwheel status`."""

from __future__ import annotations

from ragwheel.cli.command import Connection, JsonFlag, command


@command(
    "ragwheel status",
    "ragwheel status --json | jq .topics",
    exits={1: "messages are unaccounted for, or a worker is down"},
)
def run(as_json: JsonFlag = False, home: Connection = None) -> int:
    """Per topic: what Kafka accepted, what landed in ClickHouse, what was dead-lettered, what
    intake has not read yet, and what none of these explains. The last must be 0.
    """
    from ragwheel.cli.connection import connect_to
    from ragwheel.cli.output import report
    from ragwheel.operations.extras import require_extra
    from ragwheel.schemas.loading import load
    from ragwheel.schemas.settings import GraderSettings, IntakeSettings

    require_extra("streams")
    from ragwheel.cli.views.overview import tables
    from ragwheel.operations.overview import look

    stack = connect_to(home)
    overview = look(load(IntakeSettings), load(GraderSettings), stack)
    report(overview, tables, as_json=as_json)
    return 0 if overview.healthy else 1
