"""Sending dead letters again, after their cause was repaired. `ragwheel replay` is this.

A letter is read from ClickHouse, its payload optionally passed through a fix, given the key that
the registry wants, validated as intake will validate it, and produced to the topic it came from.
What would only be dead-lettered again is reported and not sent. Sending a letter twice is
harmless: events land once by their identity. Letters stay in `dead_letters` as the record of what
happened; what a replay sent gets an offset of its own.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

from ragwheel.backends.migrate import open_tables
from ragwheel.backends.publish import Outgoing, Publisher
from ragwheel.schemas import wire
from ragwheel.schemas.acceptance import BACKFILL_HEADER, Times, accepted_rows
from ragwheel.schemas.errors import ConfigError, InvalidEventError
from ragwheel.schemas.events import DeadLetter, DeadLetterReason
from ragwheel.schemas.settings import IntakeSettings, KafkaSettings
from ragwheel.schemas.topics import TOPICS, Position, TopicName

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

Fix = Callable[[bytes], bytes]
"""Turns the payload of a dead letter into one that is valid; ValueError when it cannot."""

#: Header of a replayed message: the dead letter that it came from.
REPLAY_HEADER = "ragwheel.replay.dead_letter_id"
_FIX_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Selection:
    """Which dead letters, the oldest up to `limit`; an empty list or None does not restrict.

    Attributes:
        topics: logical names of the topics they came from.
        since: stored by the broker at or after.
    """

    reasons: list[DeadLetterReason] = field(default_factory=list)
    topics: list[TopicName] = field(default_factory=list)
    since: datetime | None = None
    ids: list[str] = field(default_factory=list)
    limit: int = 1_000


@dataclass(frozen=True, slots=True)
class Replay:
    """What becomes of one letter: sent if `problem` is empty, marked if it is a `backfill`."""

    letter: DeadLetter
    key: bytes | None = None
    value: bytes | None = None
    problem: str = ""
    backfill: bool = False


@dataclass(frozen=True, slots=True)
class Unusable:
    """A dead letter that was not sent, and why."""

    dead_letter_id: str
    topic: str
    problem: str


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """What a replay did.

    Attributes:
        dry_run: nothing was sent; `sent` counts what would be.
        selected: dead letters that were looked at.
    """

    dry_run: bool
    selected: int
    sent: int
    unusable: Sequence[Unusable]


_SELECT = """
SELECT dead_letter_id, topic, partition, offset, key, payload, reason, detail, ts
FROM v_dead_letters
WHERE (empty({reasons:Array(String)}) OR reason IN {reasons:Array(String)})
    AND (empty({topics:Array(String)}) OR topic IN {topics:Array(String)})
    AND (empty({ids:Array(String)}) OR dead_letter_id IN {ids:Array(String)})
    AND ts >= {since:DateTime64(3, 'UTC')}
ORDER BY ts, topic, partition, offset
LIMIT {limit:UInt32}
"""


def replay(
    settings: IntakeSettings,
    selection: Selection,
    *,
    fix: Fix | None = None,
    force: bool = False,
    backfill: bool = False,
    dry_run: bool = False,
) -> ReplayReport:
    """Select, fix, check and send, by the conditions that intake has.

    Args:
        fix, force, backfill: see `plan`.
        dry_run: send nothing.

    Raises:
        ConfigError, UnavailableError: of ClickHouse, Kafka or the fix. Replaying again is safe.
    """
    with closing(open_tables(settings)) as client:
        letters = select(client, selection)
    now = datetime.now(UTC)
    done = [plan(letter, settings, now, fix, force=force, backfill=backfill) for letter in letters]
    if not dry_run:
        done = send(settings, done)
    unusable = [
        Unusable(each.letter.dead_letter_id, each.letter.topic, each.problem)
        for each in done
        if each.problem
    ]
    return ReplayReport(dry_run, len(letters), len(done) - len(unusable), unusable)


def select(client: Client, selection: Selection) -> list[DeadLetter]:
    """Dead letters with their original bytes, oldest first."""
    found = client.query(
        _SELECT,
        parameters=asdict(selection)
        | {"since": selection.since or datetime(1970, 1, 2, tzinfo=UTC)},
        # Keys and payloads are any bytes; everything else is text by construction.
        column_formats={"key": "bytes", "payload": "bytes"},
    )
    # The driver leaves the zone away; the column is UTC.
    return [
        DeadLetter(**{**row, "ts": row["ts"].replace(tzinfo=UTC)}) for row in found.named_results()
    ]


def plan(
    letter: DeadLetter,
    settings: IntakeSettings,
    now: datetime,
    fix: Fix | None = None,
    *,
    force: bool = False,
    backfill: bool = False,
) -> Replay:
    """Fix, re-key and check one letter. Pure apart from `fix`; raises only what `fix` does.

    Args:
        settings: say which times of an event are in range.
        backfill: events may be of any age.
        force: send whatever a letter holds, with its old key where no other can be derived.
    """
    if letter.topic not in TOPICS or letter.topic == "deadletters":
        return Replay(letter, problem=f"it came from {letter.topic!r}, which carries no events")
    topic = TOPICS[cast(TopicName, letter.topic)]
    value = letter.payload
    if fix is not None and value is not None:
        try:
            value = fix(value)
        except ValueError as error:
            return Replay(letter, problem=f"the fix failed: {error}")
    try:
        record = wire.decode_value(topic, value)
        at = Position(topic.name, letter.partition, letter.offset)
        accepted_rows(record, at, Times.of(settings), now, backfill=backfill)
    except InvalidEventError as error:
        if force:
            return Replay(letter, letter.key, value, backfill=backfill)
        return Replay(letter, value=value, problem=str(error))
    return Replay(letter, wire.key_of(topic, record), value, backfill=backfill)


def send(settings: KafkaSettings, replays: Sequence[Replay]) -> list[Replay]:
    """Produce what has no problem; wait until the broker has it.

    Returns:
        All of `replays`; those that the broker refused, or did not confirm in time, have a problem
        now. Replaying these again is safe.

    Raises:
        UnavailableError: the producer failed for good. Replaying again is safe.
    """
    failures = Publisher(settings).send_all(
        Outgoing(
            cast(TopicName, each.letter.topic),
            each.key,
            each.value,
            [(REPLAY_HEADER, each.letter.dead_letter_id.encode())]
            + [(BACKFILL_HEADER, b"1")] * each.backfill,
        )
        for each in replays
        if not each.problem
    )
    refused = {message.headers[0][1].decode(): error.str() for message, error in failures}
    return [
        replace(each, problem=f"Kafka: {refused[each.letter.dead_letter_id]}")
        if each.letter.dead_letter_id in refused
        else each
        for each in replays
    ]


def command_fix(argv: Sequence[str]) -> Fix:
    """A fix that pipes each payload through a program: standard input to standard output.

    Args:
        argv: program and arguments; no shell is involved.

    Raises:
        ConfigError: on use, when the program cannot be started.
    """

    def fix(payload: bytes) -> bytes:
        try:
            done = subprocess.run(
                list(argv), input=payload, capture_output=True, timeout=_FIX_TIMEOUT_S, check=False
            )
        except OSError as error:
            raise ConfigError(f"the fix {argv[0]!r} cannot be started: {error}") from None
        except subprocess.TimeoutExpired:
            raise ValueError(f"{argv[0]!r} took longer than {_FIX_TIMEOUT_S:g} s") from None
        if done.returncode != 0:
            said = done.stderr.decode("utf-8", "replace").strip()[:300]
            raise ValueError(f"{argv[0]!r} ended with status {done.returncode}: {said}")
        return done.stdout

    return fix
