"""`ragwheel replay`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, cast

from ragwheel.cli.command import Connection, DryRun, JsonFlag, command, flag, option

if TYPE_CHECKING:
    from ragwheel.operations.redeliver import ReplayReport
    from ragwheel.schemas.events import DeadLetterReason
    from ragwheel.schemas.topics import TopicName


def iso_time(text: str) -> datetime:
    """A time as ISO 8601 has it; UTC if it does not say otherwise."""
    when = datetime.fromisoformat(text)
    return when if when.tzinfo else when.replace(tzinfo=UTC)


@command(
    "ragwheel replay --dry-run",
    "ragwheel replay --reason invalid_field --topic retrievals --fix ./add_missing_rank.py",
    exits={65: "some dead letters are still unusable"},
)
def run(
    reason: Annotated[
        list[str] | None, option("REASON", "of this reason, all by default; repeatable")
    ] = None,
    topic: Annotated[
        list[str] | None, option("TOPIC", "from this topic, without prefix; repeatable")
    ] = None,
    since: Annotated[
        datetime | None,
        option("TIME", "stored at or after: 2026-01-31T12:00 (UTC)", parser=iso_time),
    ] = None,
    ids: Annotated[list[str] | None, option("ID", "this one; repeatable", "--id")] = None,
    limit: Annotated[int, option("N", "at most N, oldest first", min=1)] = 1_000,
    fix: Annotated[
        str,
        option(
            "COMMAND",
            "program that turns each payload on stdin into a valid one on stdout; no shell",
        ),
    ] = "",
    force: Annotated[
        bool, flag("--force", "send also what intake would dead-letter again")
    ] = False,
    backfill: Annotated[
        bool, flag("--backfill", "send events of any age, and mark them so that intake takes them")
    ] = False,
    dry_run: DryRun = False,
    as_json: JsonFlag = False,
    home: Connection = None,
) -> int:
    """Each payload passes the fix, if there is one, and is checked as intake will check it. What
    would be dead-lettered again is named and not sent. Replaying twice is harmless: events land
    once.
    """
    import shlex

    from ragwheel.cli.connection import connect_to
    from ragwheel.cli.output import report
    from ragwheel.operations import redeliver
    from ragwheel.operations.extras import require_extra
    from ragwheel.schemas.errors import InvalidEventError
    from ragwheel.schemas.loading import load
    from ragwheel.schemas.settings import IntakeSettings

    require_extra("streams")
    connect_to(home)
    done = redeliver.replay(
        load(IntakeSettings),
        redeliver.Selection(
            cast("list[DeadLetterReason]", reason or []),
            cast("list[TopicName]", topic or []),
            since,
            ids or [],
            limit,
        ),
        fix=redeliver.command_fix(shlex.split(fix)) if fix else None,
        force=force,
        backfill=backfill,
        dry_run=dry_run,
    )
    report(done, _text, as_json=as_json)
    return InvalidEventError.exit_code if done.unusable else 0


def _text(done: ReplayReport) -> str:
    verb = "would be sent" if done.dry_run else "sent"
    counts = (
        f"{done.selected:,} dead letters: {done.sent:,} {verb}, "
        f"{len(done.unusable):,} still unusable"
    )
    unusable = (f"{each.dead_letter_id}  {each.topic}: {each.problem}" for each in done.unusable)
    return "\n".join((*unusable, counts))
