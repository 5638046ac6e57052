"""Sending events from lines of JSON, each checked as intake will check it, by the same rules.

Unlike `ragwheel.client`, which favours the calling service, this waits: for room in the queue and
for the broker's confirmation of every event.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import IO

import orjson
from confluent_kafka import KafkaError

from ragwheel.backends.kafka import require_broker
from ragwheel.backends.publish import Outgoing, Publisher
from ragwheel.schemas import wire
from ragwheel.schemas.acceptance import BACKFILL_HEADER, Times, accepted_rows
from ragwheel.schemas.errors import ConfigError, InvalidEventError, UnavailableError
from ragwheel.schemas.events import Record
from ragwheel.schemas.settings import KafkaSettings
from ragwheel.schemas.topics import SERVICE_TOPICS, TOPIC_OF_EVENT, TOPICS, Position, TopicName

_EVENTS = sorted(tag for tag, topic in TOPIC_OF_EVENT.items() if topic in SERVICE_TOPICS)

OnError = Callable[[int, InvalidEventError], None]


@dataclass
class EmitReport:
    """What became of the lines.

    Attributes:
        delivered: per topic, events that the broker confirmed (without settings: valid events).
        invalid: lines that are no event, or none that intake takes.
    """

    delivered: Counter[TopicName] = field(default_factory=Counter)
    invalid: int = 0


@dataclass(frozen=True, slots=True)
class Rules:
    """What is sent.

    Attributes:
        times: as intake has them.
        backfill: events of any age, each marked so that intake takes it.
    """

    times: Times
    backfill: bool = False


def emit_lines(
    lines: Iterable[bytes], settings: KafkaSettings | None, rules: Rules, *, on_error: OnError
) -> EmitReport:
    """Send every line that intake will take and wait until the broker has confirmed all.

    Args:
        lines: one JSON object each; blank ones are skipped.
        settings: where to; None only checks.
        on_error: told each line that intake would dead-letter, counted from 1.

    Raises:
        UnavailableError: the broker does not answer, or did not confirm everything. What it did
            confirm stays; sending the file again is safe, since events keep their identity.
    """
    report = EmitReport()
    valid = _valid(lines, rules, report, on_error)
    if settings is None:
        report.delivered.update(topic for topic, _ in valid)
        return report
    require_broker(settings)
    failures: list[KafkaError] = []

    def done(topic: TopicName, error: KafkaError | None) -> None:
        if error is None:
            report.delivered[topic] += 1
        else:
            failures.append(error)

    publisher, why = Publisher(settings), ""
    marks = [(BACKFILL_HEADER, b"1")] if rules.backfill else []
    try:
        for topic, record in valid:
            publisher.send(Outgoing.of(topic, record, marks), partial(done, topic))
        if publisher.flush():
            why = "no answer in time"
    except UnavailableError as error:
        why = str(error)
    if why or failures:
        why = why or failures[-1].str()
        raise UnavailableError(
            f"not every event was confirmed by {settings.kafka_bootstrap_servers!r} ({why}); "
            f"{report.delivered.total():,} were. Send the file again: events that are there "
            "already land once"
        )
    return report


def parse_event(line: bytes) -> tuple[TopicName, Record]:
    """The topic and record of one line.

    Raises:
        InvalidEventError: as intake would dead-letter it, whatever its time.
    """
    try:
        raw = orjson.loads(line)
    except orjson.JSONDecodeError:
        # Not JSON for any topic; the decoder names the exact reason.
        return "queries", wire.decode_value(TOPICS["queries"], line)
    tag = raw.get("event") if isinstance(raw, dict) else None
    name = TOPIC_OF_EVENT.get(tag) if isinstance(tag, str) else None
    if name is None or name not in SERVICE_TOPICS:
        raise InvalidEventError(
            "unknown_event", f"`event` is {tag!r}; services send {', '.join(_EVENTS)}"
        )
    return name, wire.decode_value(TOPICS[name], line)


def open_lines(path: str) -> AbstractContextManager[IO[bytes]]:
    """The file's lines as bytes, to be used in a `with`; `-` is standard input, left open.

    Raises:
        ConfigError: the file cannot be read.
    """
    if path == "-":
        return nullcontext(sys.stdin.buffer)
    try:
        return Path(path).open("rb")
    except OSError as error:
        raise ConfigError(f"--file {path}: {error.strerror}") from None


def _valid(
    lines: Iterable[bytes], rules: Rules, report: EmitReport, on_error: OnError
) -> Iterator[tuple[TopicName, Record]]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            topic, record = parse_event(line)
            at = Position(topic, 0, number)
            now = datetime.now(UTC)
            accepted_rows(record, at, rules.times, now, backfill=rules.backfill)
            yield topic, record
        except InvalidEventError as error:
            report.invalid += 1
            on_error(number, error)
