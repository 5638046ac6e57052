"""Grading jobs and dead letters on their way to Kafka; a letter that is too large is cut to fit."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field

from confluent_kafka import KafkaError

from ragwheel.backends.publish import Outgoing, Publisher
from ragwheel.schemas import deadletters
from ragwheel.schemas.events import DeadLetter, GradingJob
from ragwheel.schemas.limits import MAX_EVENT_BYTES

_LOG = logging.getLogger(__name__)

_TOO_LARGE = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_RECORD})


@dataclass(frozen=True, slots=True)
class OutgoingLetter(Outgoing):
    """A dead letter as a message, which can be made smaller."""

    letter: DeadLetter = field(kw_only=True)


def job_message(job: GradingJob) -> Outgoing:
    """A job as a message; texts stay out if it became larger than a consumer accepts.

    Its chunks are in ClickHouse by then (rows land before jobs are sent), where the grader finds
    them.
    """
    message = Outgoing.of("grading", job)
    if len(message.value or b"") <= MAX_EVENT_BYTES:
        return message
    bare = tuple(c.model_copy(update={"text": None}) for c in job.candidates)
    return Outgoing.of("grading", job.model_copy(update={"candidates": bare}))


def letter_message(letter: DeadLetter) -> OutgoingLetter:
    """A dead letter as a message: the original bytes, the rest in headers."""
    headers = deadletters.to_headers(letter)
    return OutgoingLetter("deadletters", letter.key, letter.payload, headers, letter=letter)


@dataclass(frozen=True, slots=True)
class KafkaOutlet:
    """`contracts.Outlet` through one publisher."""

    publisher: Publisher

    def deliver(self, messages: Iterable[Outgoing]) -> None:
        """Send all; a dead letter that is too large is cut in half until it fits.

        Raises:
            UnavailableError: some were not acknowledged; send all again (they are idempotent).
            StopRequestedError: from what the publisher does while it waits.
        """
        waiting = list(messages)
        while waiting:
            failures = self.publisher.send_all(waiting)
            waiting = []
            for message, error in failures:
                if not isinstance(message, OutgoingLetter) or error.code() not in _TOO_LARGE:
                    raise self.publisher.unavailable(failures)
                if not message.letter.payload:
                    _LOG.error("dead letter %s does not fit its topic", message.letter)
                    raise self.publisher.unavailable(failures)
                waiting.append(letter_message(deadletters.shortened(message.letter)))

    def close(self) -> None:
        """Drop what is unsent; it is not committed either."""
        self.publisher.close()
