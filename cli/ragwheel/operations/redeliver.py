"""Sending dead letters again, after their cause was repaired. `ragwheel replay` is this.

A letter is read from ClickHouse, its payload optionally passed through a fix, given the key that
the registry wants, validated as intake will validate it, and produced to the topic it came from.
What would only be dead-lettered again is reported and not sent. Sending a letter twice is
harmless: events land once by their identity. Letters stay in `dead_letters` as the record of what
happened; what a replay sent gets an offset of its own.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, cast

from confluent_kafka import KafkaError

from ragwheel.backends.clickhouse import connect
from ragwheel.backends.publish import Outgoing, Publisher
from ragwheel.schemas import wire
from ragwheel.schemas.errors import ConfigError, InvalidEventError, UnavailableError
from ragwheel.schemas.events import DeadLetter, DeadLetterReason
from ragwheel.schemas.settings import IntakeSettings, KafkaSettings
from ragwheel.schemas.topics import TOPICS, TopicName

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

Fix = Callable[[bytes], bytes]
"""Turns the payload of a dead letter into one that is valid; ValueError when it cannot."""

#: Header of a replayed message: the dead letter that it came from.
REPLAY_HEADER = "ragwheel.replay.dead_letter_id"
_FIX_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Selection:
    """Which dead letters; an empty tuple or None does not restrict.

    Attributes:
        reasons: of `DeadLetterReason`.
        topics: logical names of the topics they came from.
        since: stored by the broker at or after.
        ids: `dead_letter_id`s.
        limit: at most so many, oldest first.
    """

    reasons: Sequence[DeadLetterReason] = ()
    topics: Sequence[TopicName] = ()
    since: datetime | None = None
    ids: Sequence[str] = ()
    limit: int = 1_000


@dataclass(frozen=True, slots=True)
class Conditions:
    """What a replayed event must satisfy; None of both skips the check of its time.

    Attributes:
        force: send whatever a letter holds, with its old key where no other can be derived.
    """

    max_age: timedelta | None = None
    max_ahead: timedelta | None = None
    force: bool = False


@dataclass(frozen=True, slots=True)
class Replay:
    """What becomes of one letter: sent if `problem` is empty."""

    letter: DeadLetter
    key: bytes | None = None
    value: bytes | None = None
    problem: str = ""


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
    dry_run: bool = False,
) -> ReplayReport:
    """Select, fix, check and send, by the conditions that intake has.

    Raises:
        ConfigError, UnavailableError: of ClickHouse, Kafka or the fix. Replaying again is safe.
    """
    rules = Conditions(
        max_age=timedelta(days=settings.max_event_age_days),
        max_ahead=timedelta(seconds=settings.max_event_ahead_s),
        force=force,
    )
    client = connect(settings)
    try:
        letters = select(client, selection)
    finally:
        client.close()
    now = datetime.now(UTC)
    done = [plan(letter, rules, now, fix) for letter in letters]
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
        parameters={
            "reasons": list(selection.reasons),
            "topics": list(selection.topics),
            "ids": list(selection.ids),
            "since": selection.since or datetime(1970, 1, 2, tzinfo=UTC),
            "limit": selection.limit,
        },
        # Keys and payloads are any bytes; everything else is text by construction.
        column_formats={"key": "bytes", "payload": "bytes"},
    )
    return [
        DeadLetter(
            dead_letter_id=dead_letter_id,
            topic=topic,
            partition=partition,
            offset=offset,
            key=key,
            payload=payload,
            reason=reason,
            detail=detail,
            ts=ts if ts.tzinfo else ts.replace(tzinfo=UTC),
        )
        for dead_letter_id, topic, partition, offset, key, payload, reason, detail, ts in (
            found.result_rows
        )
    ]


def plan(letter: DeadLetter, rules: Conditions, now: datetime, fix: Fix | None = None) -> Replay:
    """Fix, re-key and check one letter. Pure apart from `fix`; never raises."""
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
        if rules.max_age is not None and rules.max_ahead is not None:
            wire.check_time(record, now, rules.max_age, rules.max_ahead)
    except InvalidEventError as error:
        if rules.force:
            return Replay(letter, letter.key, value)
        return Replay(letter, value=value, problem=str(error))
    return Replay(letter, wire.key_of(topic, record), value)


def send(settings: KafkaSettings, replays: Iterable[Replay]) -> list[Replay]:
    """Produce what has no problem; wait until the broker has it.

    Returns:
        All of `replays`; those that the broker refused have a problem now.

    Raises:
        UnavailableError: the broker did not confirm everything in time. Replaying again is safe.
    """
    refused: dict[str, str] = {}
    everything = list(replays)

    def done(letter_id: str, error: KafkaError | None) -> None:
        if error is not None:
            refused[letter_id] = f"Kafka: {error.str()}"

    publisher = Publisher(settings)
    for replay in everything:
        if not replay.problem:
            letter_id, topic = replay.letter.dead_letter_id, cast(TopicName, replay.letter.topic)
            headers = [(REPLAY_HEADER, letter_id.encode())]
            message = Outgoing(topic, replay.key, replay.value, headers)
            publisher.send(message, partial(done, letter_id))
    if publisher.flush():
        raise UnavailableError(
            f"Kafka at {settings.kafka_bootstrap_servers!r} did not confirm all messages; "
            "run the same replay again, what arrived twice lands once"
        )
    return [
        Replay(r.letter, r.key, r.value, r.problem or refused.get(r.letter.dead_letter_id, ""))
        for r in everything
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
