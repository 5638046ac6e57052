"""`ragwheel forget`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from ragwheel.cli.command import Connection, DryRun, JsonFlag, command, flag, option

if TYPE_CHECKING:
    from ragwheel.operations.forget import ForgetReport


@command(
    "ragwheel forget --user u-17 --dry-run",
    "ragwheel forget --query-id 018f6a2e-0c1b-7cc3-98c4-dc0c0c07398f --yes",
    exits={
        1: "it was not confirmed, and nothing was changed",
        75: "intake had not read everything in time: run it again when it has",
    },
)
def run(
    user: Annotated[str, option("PSEUDONYM", "all searches of this user until now")] = "",
    query_id: Annotated[str, option("ID", "one search")] = "",
    chunk: Annotated[
        str, option("ID", "a chunk by its id: all texts that stood under it, and the id")
    ] = "",
    content_hash: Annotated[
        str, option("HASH", "a chunk's text by its hash, whatever its id")
    ] = "",
    yes: Annotated[bool, flag("--yes", "do not ask")] = False,
    wait: Annotated[float, option("SECONDS", "longest wait for intake", min=0)] = 120.0,
    dry_run: DryRun = False,
    as_json: JsonFlag = False,
    home: Connection = None,
) -> int:
    """Takes it out of every table, for good, and keeps it out: a tombstone lets intake drop what
    Kafka, a file or a dead letter brings again. Waits until intake has landed what it had in hand,
    and takes that out as well. Kafka's own copies go with the retention of their topics;
    docs/privacy.md says what else there is. Running it again is harmless.
    """
    from ragwheel.cli.connection import connect_to
    from ragwheel.cli.output import report, tell
    from ragwheel.operations.extras import require_extra
    from ragwheel.operations.forget import Subject, forget
    from ragwheel.schemas.errors import TransientError
    from ragwheel.schemas.loading import load
    from ragwheel.schemas.settings import IntakeSettings, ReembedSettings

    require_extra("streams")
    subject = Subject(user, query_id, chunk, content_hash)
    subject.check()
    connect_to(home)
    settings = load(IntakeSettings)
    if not dry_run and not yes:
        tell(_text(forget(settings, subject, dry_run=True)))
        if not _confirmed():
            tell("nothing was changed (--yes does not ask)")
            return 1
    store = load(ReembedSettings).vector_store
    done = forget(settings, subject, vector_store=store, dry_run=dry_run, wait_s=wait, tell=tell)
    report(done, _text, as_json=as_json)
    return 0 if done.complete else TransientError.exit_code


def _confirmed() -> bool:
    import sys

    print("Forget it, for good? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _text(done: ForgetReport) -> str:
    verb = "would be " if done.dry_run else ""
    lines = [
        f"{each.table}: {each.deleted:,} rows {verb}deleted, {each.changed:,} {verb}changed"
        for each in done.tables
    ]
    lines.append(f"searches {verb}forgotten: {done.queries:,}")
    if not done.complete:
        lines.append(
            f"not finished: intake has {done.waiting:,} messages to read, or new ones kept coming; "
            "run it again when it has"
        )
    return "\n".join(lines)
