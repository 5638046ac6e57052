"""Producing grading jobs and dead letters, and knowing that the broker has them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from confluent_kafka import KafkaError, KafkaException, Producer

from ragwheel.schemas import deadletters, wire
from ragwheel.schemas.errors import UnavailableError
from ragwheel.schemas.events import DeadLetter, GradingJob
from ragwheel.schemas.limits import MAX_EVENT_BYTES
from ragwheel.schemas.topics import TOPICS, TopicName

_LOG = logging.getLogger(__name__)

_FLUSH_S = 2.0
_TOO_LARGE = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_RECORD})


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to produce."""

    topic: TopicName
    key: bytes | None
    value: bytes | None
    headers: deadletters.Headers
    letter: DeadLetter | None = None


def job_message(job: GradingJob) -> Outgoing:
    """A job as a message; texts stay out if it became larger than a consumer accepts.

    Its chunks are in ClickHouse by then (rows land before jobs are sent), where the grader finds
    them.
    """
    value = wire.encode(job)
    if len(value) > MAX_EVENT_BYTES:
        bare = tuple(c.model_copy(update={"text": None}) for c in job.candidates)
        value = wire.encode(job.model_copy(update={"candidates": bare}))
    return Outgoing("grading", wire.key_of(TOPICS["grading"], job), value, [])


def letter_message(letter: DeadLetter) -> Outgoing:
    """A dead letter as a message: the original bytes, the rest in headers."""
    return Outgoing(
        "deadletters", letter.key, letter.payload, deadletters.to_headers(letter), letter
    )


class KafkaOutlet:
    """`contracts.Outlet` through one producer.

    Args:
        new_producer: opens an idempotent producer with acks=all.
        physical: logical → physical topic name.
        keep_alive: called every few seconds while waiting for the broker.
    """

    def __init__(
        self,
        new_producer: Callable[[], Producer],
        physical: Callable[[TopicName], str],
        keep_alive: Callable[[], None],
    ) -> None:
        self._new_producer = new_producer
        self._producer = new_producer()
        self._physical = physical
        self._keep_alive = keep_alive

    def deliver(self, messages: Iterable[Outgoing]) -> None:
        """Send all; a dead letter that is too large is cut in half until it fits.

        Raises:
            UnavailableError: some were not acknowledged; send all again (they are idempotent).
            StopRequestedError: from `keep_alive`.
        """
        waiting = list(messages)
        while waiting:
            failures = self._send(waiting)
            waiting = []
            for message, error in failures:
                if message.letter is None or error.code() not in _TOO_LARGE:
                    if error.fatal():
                        self._producer = self._new_producer()
                    raise UnavailableError(f"{self._physical(message.topic)}: {error.str()}")
                if not message.letter.payload:
                    _LOG.error("dead letter %s does not fit its topic", message.letter)
                    raise UnavailableError(f"{self._physical(message.topic)}: {error.str()}")
                waiting.append(letter_message(deadletters.shortened(message.letter)))

    def close(self) -> None:
        """Drop what is unsent; it is not committed either."""
        self._producer.purge()
        self._producer.flush(1.0)

    def _send(self, messages: list[Outgoing]) -> list[tuple[Outgoing, KafkaError]]:
        failures: list[tuple[Outgoing, KafkaError]] = []
        for message in messages:
            self._produce(message, failures)
        while self._producer.flush(_FLUSH_S):
            self._keep_alive()
        return failures

    def _produce(self, message: Outgoing, failures: list[tuple[Outgoing, KafkaError]]) -> None:
        def on_delivery(error: KafkaError | None, _: object) -> None:
            if error is not None:
                failures.append((message, error))

        while True:
            try:
                self._producer.produce(
                    self._physical(message.topic),
                    value=message.value,
                    key=message.key,
                    headers=list(message.headers),
                    on_delivery=on_delivery,
                )
                self._producer.poll(0)
                return
            except BufferError:
                self._producer.poll(0.5)
                self._keep_alive()
            except KafkaException as error:
                failures.append((message, error.args[0]))
                return
