"""`ragwheel replay`."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime

from ragwheel.cli.command import Command, add_connection


def configure(parser: argparse.ArgumentParser) -> None:
    choose = parser.add_argument_group("which dead letters (all of them by default)")
    choose.add_argument("--reason", action="append", default=[], help="of this reason; repeatable")
    choose.add_argument(
        "--topic", action="append", default=[], help="from this topic, without prefix; repeatable"
    )
    choose.add_argument(
        "--since", type=iso_time, metavar="TIME", help="stored at or after: 2026-01-31T12:00 (UTC)"
    )
    choose.add_argument("--id", action="append", default=[], help="this one; repeatable")
    choose.add_argument(
        "--limit", type=int, default=1_000, metavar="N", help="at most N (default: %(default)s)"
    )
    parser.add_argument(
        "--fix",
        metavar="COMMAND",
        help="program that turns each payload on stdin into a valid one on stdout; no shell",
    )
    parser.add_argument(
        "--force", action="store_true", help="send also what intake would dead-letter again"
    )
    parser.add_argument("--dry-run", action="store_true", help="show what would be sent")
    add_connection(parser)


def run(args: argparse.Namespace) -> int:
    import shlex
    from datetime import timedelta

    from ragwheel.backends.clickhouse import connect
    from ragwheel.cli.connection import connect_to
    from ragwheel.operations import redeliver
    from ragwheel.operations.extras import require_extra
    from ragwheel.schemas.errors import InvalidEventError
    from ragwheel.schemas.settings import IntakeSettings, load

    require_extra("streams")
    connect_to(args.home)
    settings = load(IntakeSettings)
    rules = redeliver.Conditions(
        max_age=timedelta(days=settings.max_event_age_days),
        max_ahead=timedelta(seconds=settings.max_event_ahead_s),
        force=args.force,
    )
    fix = redeliver.command_fix(shlex.split(args.fix)) if args.fix else None
    client = connect(settings)
    try:
        letters = redeliver.select(
            client, redeliver.Selection(args.reason, args.topic, args.since, args.id, args.limit)
        )
    finally:
        client.close()
    now = datetime.now(UTC)
    plans = [redeliver.plan(letter, rules, now, fix) for letter in letters]
    done = plans if args.dry_run else redeliver.send(settings, plans)
    unusable = [each for each in done if each.problem]
    for each in unusable:
        print(f"{each.letter.dead_letter_id}  {each.letter.topic}: {each.problem}")
    verb = "would be sent" if args.dry_run else "sent"
    print(f"{len(letters):,} dead letters: {len(done) - len(unusable):,} {verb}, "
          f"{len(unusable):,} still unusable")  # fmt: skip
    return InvalidEventError.exit_code if unusable else 0


def iso_time(text: str) -> datetime:
    when = datetime.fromisoformat(text)
    return when if when.tzinfo else when.replace(tzinfo=UTC)


COMMAND = Command(
    name="replay",
    purpose="send dead letters again after their cause was mended",
    details="""\
Each payload passes the fix, if there is one, and is checked as intake will check it. What would be
dead-lettered again is named and not sent. Replaying twice is harmless: events land once.""",
    examples=(
        "ragwheel replay --dry-run",
        "ragwheel replay --reason invalid_field --topic retrievals --fix ./add_missing_rank.py",
    ),
    configure=configure,
    run=run,
    exits=((65, "some dead letters are still unusable"),),
)
