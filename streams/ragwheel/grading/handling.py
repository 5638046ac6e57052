"""One message of the grading topic from bytes to durable labels. Knows no Faust."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, cast

from ragwheel.backends.publish import Outgoing
from ragwheel.schemas import wire
from ragwheel.schemas.deadletters import dead_letter, to_headers
from ragwheel.schemas.errors import InvalidEventError
from ragwheel.schemas.events import DeadLetterReason, GradingJob, JobRole, Label
from ragwheel.schemas.limits import MAX_MESSAGE_BYTES
from ragwheel.schemas.tombstones import Tombstones
from ragwheel.schemas.topics import TOPICS
from ragwheel.schemas.wire import Received

_LOG = logging.getLogger(__name__)
_GRADING = TOPICS["grading"]
#: Room for the headers of a dead letter within the largest message, bytes.
_HEADER_ROOM = 64 * 1024


class Grader(Protocol):
    """Whoever turns a job into labels. Never raises."""

    async def grade(self, job: GradingJob) -> list[Label]:
        """One label per distinct chunk of the job, and those of decoys."""


class Results(Protocol):
    """Where labels and dead letters go; see `AsyncPublisher`."""

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        """Return once all are durable; retry for as long as it takes."""


async def _nothing() -> Tombstones:
    return Tombstones()


@dataclass(frozen=True, slots=True)
class GradingWorker:
    """Decode, route by role, grade, publish. What cannot be decoded is dead-lettered.

    Attributes:
        forgotten: what is forgotten, as far as is known; never raises. Jobs of such queries are
            acknowledged and not graded.
    """

    graders: Mapping[JobRole, Grader]
    results: Results
    forgotten: Callable[[], Awaitable[Tombstones]] = _nothing

    async def handle(self, message: Received) -> None:
        """Return once everything that follows from `message` is durable in Kafka.

        Afterwards the message may be acknowledged. Never raises, cancellation aside.
        """
        try:
            job = cast(GradingJob, wire.decode(_GRADING, message.key, message.value))
        except InvalidEventError as error:
            await self._bury(message, cast(DeadLetterReason, error.reason), error.detail)
            return
        forgotten = await self.forgotten()
        if forgotten.covers(job):
            return
        job = forgotten.without_chunks(job)
        try:
            labels = await self.graders[job.role].grade(job)
            messages = [Outgoing.of("labels", label) for label in labels]
        except Exception as error:  # noqa: BLE001 - process edge: one job must not stop the stream
            _LOG.exception("job %s could not be processed", job.job_id)
            await self._bury(message, "processing_failed", f"{type(error).__name__}: {error}")
            return
        await self.results.publish(messages)

    async def _bury(self, message: Received, reason: DeadLetterReason, detail: str) -> None:
        letter = dead_letter(
            topic=_GRADING.name,
            partition=message.partition,
            offset=message.offset,
            key=message.key,
            payload=message.value,
            reason=reason,
            detail=detail,
            timestamp_ms=message.timestamp_ms,
        )
        _LOG.warning(
            "dead letter: %s/%d/%d %s: %s",
            _GRADING.name, message.partition, message.offset, reason, letter.detail[:200],
        )  # fmt: skip
        # Key and value of a dead letter are the original's (ragwheel.schemas.deadletters), unless
        # they would not fit: then its headers say where the original stands.
        fits = len(message.value or b"") + len(message.key or b"") + _HEADER_ROOM
        value = message.value if fits <= MAX_MESSAGE_BYTES else None
        key = message.key if fits <= MAX_MESSAGE_BYTES else None
        await self.results.publish([Outgoing("deadletters", key, value, to_headers(letter))])
