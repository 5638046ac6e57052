"""Events from a file: what `ragwheel emit` does. Unlike the rest of the client it may wait.

Every line is checked by the decoder that intake uses, so that what was sent will land.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import orjson
from confluent_kafka import KafkaError, Message, Producer

from ragwheel.schemas import kafka, wire
from ragwheel.schemas.errors import InvalidEventError, UnavailableError
from ragwheel.schemas.events import Record
from ragwheel.schemas.settings import KafkaSettings
from ragwheel.schemas.topics import (
    MAX_EVENT_BYTES,
    SERVICE_TOPICS,
    TOPIC_OF_EVENT,
    TOPICS,
    Topic,
    TopicName,
)

_POLL_INTERVAL_S = 0.1
_PROGRESS_EVERY = 1_000


@dataclass(frozen=True, slots=True)
class LineError:
    """Why a line was not sent.

    Attributes:
        line: its number; 1 is the first.
        reason: a `ragwheel.schemas.events.DeadLetterReason`.
        detail: what is wrong, naming the field and the value.
    """

    line: int
    reason: str
    detail: str


@dataclass(slots=True)
class EmitReport:
    """What became of the lines: lines = sent + invalid, sent = delivered + failed.

    Attributes:
        sent: handed to Kafka, by topic.
        delivered: confirmed by the broker, by topic.
        failed: refused by the broker or given up, all topics.
        invalid: lines that are no event; blank lines do not count.
        errors: the first of the invalid lines.
        last_failure: the broker's last reason; empty without one.
    """

    sent: dict[TopicName, int] = field(default_factory=dict)
    delivered: dict[TopicName, int] = field(default_factory=dict)
    failed: int = 0
    invalid: int = 0
    errors: list[LineError] = field(default_factory=list)
    last_failure: str = ""


def emit(
    lines: Iterable[bytes | str],
    settings: KafkaSettings,
    *,
    dry_run: bool = False,
    timeout_s: float = 30.0,
    max_errors: int = 100,
    progress: Callable[[int], None] | None = None,
) -> EmitReport:
    """Check each line and send the valid ones; memory stays bounded whatever the file's size.

    Args:
        lines: one JSON object each, with `event` query, retrieval, feedback or chunk.
        dry_run: check only; nothing is sent, and `sent` says what would be.
        timeout_s: longest time without any progress before giving up on the broker.
        max_errors: how many `errors` to keep.
        progress: told the number of lines read, every 1,000.

    Raises:
        UnavailableError: no broker answers, or it stopped taking events; names the setting.
    """
    report = EmitReport()
    outbox = None if dry_run else _Outbox(settings, report, timeout_s)
    for number, line in enumerate(lines, 1):
        raw = line.encode("utf-8", "surrogatepass") if isinstance(line, str) else line
        if raw.strip():
            try:
                topic, record, value = check_line(raw)
            except InvalidEventError as error:
                report.invalid += 1
                if len(report.errors) < max_errors:
                    report.errors.append(LineError(number, error.reason, error.detail))
            else:
                report.sent[topic.name] = report.sent.get(topic.name, 0) + 1
                if outbox is not None:
                    outbox.put(topic, wire.key_of(topic, record), value)
        if progress is not None and number % _PROGRESS_EVERY == 0:
            progress(number)
    if outbox is not None:
        outbox.finish()
    return report


def check_line(line: bytes) -> tuple[Topic, Record, bytes]:
    """The topic, the record and the wire form of one line.

    Raises:
        InvalidEventError: with the reason under which intake would dead-letter it.
    """
    topic = TOPICS[_topic_of(line)]
    record = wire.decode_value(topic, line)
    value = wire.encode(record)
    if len(value) > MAX_EVENT_BYTES:
        raise InvalidEventError(
            "oversize", f"{len(value)} bytes once hashes are added, the limit is {MAX_EVENT_BYTES}"
        )
    return topic, record, value


def _topic_of(line: bytes) -> TopicName:
    """Where a line belongs; the decoder finds all other faults."""
    try:
        raw = orjson.loads(line)
    except orjson.JSONDecodeError:
        return "queries"  # whatever the topic, the decoder refuses it with the exact reason
    tag = raw.get("event") if isinstance(raw, dict) else None
    name = TOPIC_OF_EVENT.get(tag) if isinstance(tag, str) else None
    if isinstance(raw, dict) and name not in SERVICE_TOPICS:
        known = ", ".join(
            str(TOPICS[n].model.model_fields["event"].default) for n in SERVICE_TOPICS
        )
        raise InvalidEventError("unknown_event", f"`event` is {tag!r}; a service sends {known}")
    return name or "queries"


class _Outbox:
    """A producer that waits when its queue is full."""

    def __init__(self, settings: KafkaSettings, report: EmitReport, timeout_s: float) -> None:
        kafka.require_broker(settings)
        self._settings = settings
        self._report = report
        self._timeout_s = timeout_s
        self._progress_s = time.monotonic()
        self._producer: Producer = kafka.producer(settings, on_error=self._on_error)

    def put(self, topic: Topic, key: bytes, value: bytes) -> None:
        def done(error: KafkaError | None, _: Message) -> None:
            self._progress_s = time.monotonic()
            if error is None:
                self._report.delivered[topic.name] = self._report.delivered.get(topic.name, 0) + 1
            else:
                self._report.failed += 1
                self._report.last_failure = error.str()

        name = kafka.physical(self._settings, topic.name)
        for _ in self._patience():
            try:
                self._producer.produce(name, value, key, on_delivery=done)
            except BufferError:
                self._producer.poll(_POLL_INTERVAL_S)
            else:
                self._producer.poll(0)
                return

    def finish(self) -> None:
        for _ in self._patience():
            if self._producer.flush(_POLL_INTERVAL_S) == 0:
                return

    def _patience(self) -> Iterator[None]:
        """Endless while the broker confirms events, and an error when it has long stopped."""
        self._progress_s = time.monotonic()
        while time.monotonic() - self._progress_s < self._timeout_s:
            yield
        waiting = len(self._producer)
        self._producer.purge()
        self._producer.poll(0)
        raise UnavailableError(
            f"Kafka at {self._settings.kafka_bootstrap_servers!r} confirmed nothing for "
            f"{self._timeout_s:g} s ({self._report.last_failure or 'no reason given'}), "
            f"{waiting} events are unsent: check the broker and RAGWHEEL_KAFKA_BOOTSTRAP_SERVERS"
        )

    def _on_error(self, error: KafkaError) -> None:
        self._report.last_failure = error.str()
