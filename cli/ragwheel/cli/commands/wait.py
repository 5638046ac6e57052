"""`ragwheel wait`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from ragwheel.cli.command import Connection, JsonFlag, command, flag, option

_IN_TIME, _NOT_IN_TIME = 0, 75  # EX_TEMPFAIL of sysexits.h


@command(
    "ragwheel wait --graded --timeout 1800",
    "ragwheel wait --trained --since 2026-11-24T09:00:00 --timeout 3600",
    exits={_NOT_IN_TIME: "the time was over first; nothing is wrong, it goes on without you"},
)
def run(
    landed: Annotated[bool, flag("--landed", "until intake has landed all that was sent")] = False,
    graded: Annotated[
        bool, flag("--graded", "until in addition every sampled pair is graded and has landed")
    ] = False,
    trained: Annotated[bool, flag("--trained", "until the gate has given a verdict")] = False,
    since: Annotated[
        datetime | None,
        typer.Option(
            help="for --trained: a verdict of before this time (UTC) does not count; "
            "now if left out",
            show_default=False,
        ),
    ] = None,
    timeout: Annotated[float, option("SECONDS", "longest wait")] = 600.0,
    as_json: JsonFlag = False,
    home: Connection = None,
) -> int:
    """For scripts, in place of sleeping: give one of --landed, --graded and --trained. Traffic that
    never pauses is never done; on a live stream use --trained, or the gauges of docs/metrics.md.
    """
    from ragwheel.backends.kafka import require_broker
    from ragwheel.cli.connection import connect_to
    from ragwheel.cli.output import report, tell
    from ragwheel.operations.extras import require_extra
    from ragwheel.operations.goals import Goal, in_words, wait
    from ragwheel.schemas.loading import load
    from ragwheel.schemas.settings import GraderSettings, IntakeSettings

    asked: dict[Goal, bool] = {"landed": landed, "graded": graded, "trained": trained}
    chosen = [goal for goal, typed in asked.items() if typed]
    if len(chosen) != 1:
        raise typer.BadParameter("give one of --landed, --graded and --trained")
    require_extra("streams")
    connect_to(home)
    intake = load(IntakeSettings)
    require_broker(intake)
    began = since.replace(tzinfo=UTC) if since else datetime.now(UTC)
    waited = wait(
        chosen[0], intake, load(GraderSettings), since=began, timeout_s=timeout, tell=tell
    )
    if not waited.reached:
        text = f"not {waited.goal} within {timeout:g} s"
        text += f": {in_words(waited.left)} to go" if waited.left else ""
    elif waited.verdict is not None:
        text = f"{waited.verdict.model_id}: {waited.verdict.action}: {waited.verdict.reason}"
    else:
        text = f"{waited.goal} after {waited.seconds:.0f} s"
    report(waited, text, as_json=as_json)
    return _IN_TIME if waited.reached else _NOT_IN_TIME
