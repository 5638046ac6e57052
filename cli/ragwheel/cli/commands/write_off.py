"""`ragwheel write-off`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ragwheel.cli.command import Connection, DryRun, JsonFlag, command, option

if TYPE_CHECKING:
    from ragwheel.operations.write_off import WriteOff


@command(
    "ragwheel write-off retrievals --dry-run",
    'ragwheel write-off retrievals --reason "intake was down for 8 days"',
    exits={1: "messages stay unaccounted for: they can still be read"},
)
def run(
    topic: Annotated[str, typer.Argument(help="as `ragwheel status` names it")],
    reason: Annotated[str, option("TEXT", "why they are lost, for the ledger")] = "",
    dry_run: DryRun = False,
    as_json: JsonFlag = False,
    home: Connection = None,
) -> int:
    """Takes what is unaccounted for and no longer in Kafka out of the alert: nobody can read it any
    more. `ragwheel status` shows it as written off from then on, and the ledger says why. What
    Kafka still has is left alone: docs/operations.md (RagwheelUnaccounted) says how to read it.
    """
    from ragwheel.cli.connection import connect_to
    from ragwheel.cli.output import report
    from ragwheel.operations.extras import require_extra
    from ragwheel.schemas.loading import load
    from ragwheel.schemas.settings import GraderSettings, IntakeSettings

    require_extra("streams")
    from ragwheel.operations.write_off import write_off

    connect_to(home)
    given = "dry run" if dry_run else reason
    done = write_off(load(IntakeSettings), load(GraderSettings), topic, given, dry_run=dry_run)
    report(done, _text, as_json=as_json)
    return 1 if done.readable else 0


def _text(done: WriteOff) -> str:
    lines = [f"{done.topic}: {done.messages:,} {'would be ' if done.dry_run else ''}written off"]
    lines += [
        f"  partition {each.partition}, offsets {each.start:,} to {each.until - 1:,}"
        for each in done.lost
    ]
    if done.readable:
        lines.append(f"{done.readable:,} stay unaccounted for: they can still be read or graded")
    return "\n".join(lines)
