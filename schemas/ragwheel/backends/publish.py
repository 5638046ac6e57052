"""The one durable send: what was published is on all in-sync replicas, or its sender is told.

`Publisher` waits in the calling thread, `AsyncPublisher` in an event loop. Neither ever drops; a
service that must not wait emits through `ragwheel.client`, which promises the opposite. Sending
again is always safe, because everything that we produce has an identity.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Self

from confluent_kafka import KafkaError, KafkaException, Producer

from ragwheel.backends import kafka
from ragwheel.schemas import wire
from ragwheel.schemas.errors import UnavailableError
from ragwheel.schemas.events import Record
from ragwheel.schemas.settings import KafkaSettings
from ragwheel.schemas.topics import TOPICS, TopicName

_LOG = logging.getLogger(__name__)

#: Unacknowledged for so long, a message counts as failed.
_TIMEOUT_S = 60.0
#: librdkafka answers for every message within its timeout; somewhat later we stop believing it.
_GRACE_S = 5.0
_FULL_QUEUE_S = 0.5
_FLUSH_S = 2.0
_CLOSE_S = 1.0
_LAST_CHANCE_S = 5.0
_POLL_S = 0.05

OnDone = Callable[[KafkaError | None], object]
"""Told once what became of a message; None: it is durable."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to produce. `topic` is the logical name; the physical one is made when sending."""

    topic: TopicName
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()

    @classmethod
    def of(
        cls, topic: TopicName, record: Record, headers: Sequence[tuple[str, bytes]] = ()
    ) -> Self:
        """A record under the key that the registry asks for."""
        return cls(topic, wire.key_of(TOPICS[topic], record), wire.encode(record), headers)


Failure = tuple[Outgoing, KafkaError]
"""A message that is not durable, and why."""


class Publisher:
    """Sends messages and knows which of them the broker has. For one thread.

    Whatever sends or waits raises UnavailableError when the producer failed for good: what was not
    answered has to be sent again, and the next `send` opens a new producer.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        *,
        timeout_s: float = _TIMEOUT_S,
        while_waiting: Callable[[], object] = lambda: None,
        open_producer: Callable[[], Producer] | None = None,
    ) -> None:
        """Opens an idempotent producer with acks=all; it connects by itself.

        Args:
            timeout_s: a message that is not acknowledged for so long has failed.
            while_waiting: called every few seconds while the broker is waited for; what it raises
                ends the wait.
            open_producer: instead of `kafka.producer`.
        """
        self._settings = settings
        self._timeout_s = timeout_s
        self._while_waiting = while_waiting
        self._open = open_producer or (
            lambda: kafka.producer(settings, message_timeout_ms=int(timeout_s * 1000))
        )
        self._producer = self._open()
        self._dead = False

    def publish(self, messages: Iterable[Outgoing]) -> None:
        """Send all, in order, and return once all are durable.

        Raises:
            UnavailableError: some are not; send all of them again.
        """
        if failures := self.send_all(messages):
            raise self.unavailable(failures)

    def send_all(self, messages: Iterable[Outgoing]) -> list[Failure]:
        """Send all, in order, and wait for every answer; those that failed."""
        everything = list(messages)
        answers: dict[int, KafkaError | None] = {}
        for number, message in enumerate(everything):
            self.send(message, partial(answers.__setitem__, number))
        self.flush()
        silence = KafkaError(KafkaError._TIMED_OUT)
        return [
            (message, error)
            for number, message in enumerate(everything)
            if (error := answers.get(number, silence)) is not None
        ]

    def send(self, message: Outgoing, on_done: OnDone) -> None:
        """Queue one message, waiting for room.

        Args:
            on_done: called from here, or from a later `send` or `flush`.
        """
        if self._dead:
            self._producer, self._dead = self._open(), False
        try:
            while not self.offer(message, on_done):
                self.poll(_FULL_QUEUE_S)
                self._while_waiting()
        except KafkaException as error:
            on_done(error.args[0])
        self.poll(0)

    def flush(self) -> int:
        """Wait until everything sent was answered; how much was not, which should be nothing."""
        deadline = time.monotonic() + self._timeout_s + _GRACE_S
        while (left := self._serve(self._producer.flush, _FLUSH_S)) and time.monotonic() < deadline:
            self._while_waiting()
        return left

    def offer(self, message: Outgoing, on_done: OnDone) -> bool:
        """Queue one message without waiting; False when there is no room.

        Raises:
            KafkaException: the message is refused at once, e.g. because it is too large.
        """
        try:
            self._producer.produce(
                kafka.physical(self._settings, message.topic),
                value=message.value,
                key=message.key,
                headers=list(message.headers),
                on_delivery=lambda error, _: self._answered(on_done, error),
            )
        except BufferError:
            return False
        except KafkaException as error:
            if _is_fatal(error.args[0]):
                raise self._failed_for_good(error) from error
            raise
        return True

    def poll(self, timeout_s: float) -> None:
        """Hear the broker's answers for up to `timeout_s`."""
        self._serve(self._producer.poll, timeout_s)

    def close(self, grace_s: float = 0.0) -> None:
        """Drop what is still unanswered after `grace_s`; it is told as failed."""
        with contextlib.suppress(UnavailableError):
            if grace_s:
                self._serve(self._producer.flush, grace_s)
            self._producer.purge()
            self._serve(self._producer.flush, _CLOSE_S)

    def unavailable(self, failures: Sequence[Failure]) -> UnavailableError:
        """The error that names what was not accepted, by whom, why, and the way out."""
        topics = sorted({kafka.physical(self._settings, each.topic) for each, _ in failures})
        return UnavailableError(
            f"{len(failures):,} of the messages for {', '.join(topics)} were not accepted by "
            f"{self._settings.kafka_bootstrap_servers!r} ({failures[0][1].str()}): check the "
            "broker and RAGWHEEL_KAFKA_BOOTSTRAP_SERVERS"
        )

    def _answered(self, on_done: OnDone, error: KafkaError | None) -> None:
        if error is not None and _is_fatal(error):
            self._dead = True
        on_done(error)

    def _serve(self, wait: Callable[[float], int], timeout_s: float) -> int:
        try:
            return wait(timeout_s)
        except (KafkaException, SystemError) as error:
            # confluent-kafka raises a fatal error from whatever serves callbacks; those that it
            # still calls then may stumble over the pending exception, hence SystemError.
            raise self._failed_for_good(error) from error

    def _failed_for_good(self, error: Exception) -> UnavailableError:
        self._dead = True
        return UnavailableError(
            f"the producer for {self._settings.kafka_bootstrap_servers!r} failed for good "
            f"({error.__cause__ or error}): send again what was not confirmed"
        )


class AsyncPublisher:
    """Durable publishing for an event loop. Use as a context manager.

    A thread hears the broker; one wake-up per `publish` crosses into the loop.
    """

    def __init__(self, publisher: Publisher, *, retry_wait_s: float = 1.0) -> None:
        """`publisher` is from now on used by nobody else."""
        self._publisher = publisher
        self._retry_wait_s = retry_wait_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="publisher", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        # Labels cost money: those that a cancelled job left in the queue get a chance.
        self._publisher.close(_LAST_CHANCE_S)

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        """Return once the broker has confirmed every message; what fails is sent again.

        It never gives up on an unreachable broker: that one delivers no further work either, so
        waiting loses nothing, while giving up would acknowledge work whose result is lost.

        Raises:
            UnavailableError, KafkaException: time does not help, because the producer failed for
                good or a message is refused: the process should end without acknowledging.
        """
        remaining = list(messages)
        while remaining:
            remaining = await self._publish_once(remaining)
            if remaining:
                await asyncio.sleep(self._retry_wait_s)

    async def _publish_once(self, messages: Sequence[Outgoing]) -> list[Outgoing]:
        batch = _Batch(asyncio.get_running_loop(), len(messages))
        for message in messages:
            while not self._publisher.offer(message, partial(batch.report, message)):
                await asyncio.sleep(_POLL_S)
        return await batch.done

    def _listen(self) -> None:
        while not self._stop.is_set():
            try:
                self._publisher.poll(_POLL_S)
            except UnavailableError as error:
                # Whoever waits is answered by the next polls; the next `publish` raises.
                _LOG.error("%s", error)


class _Batch:
    """Counts answers on the listening thread, wakes the loop once at the end."""

    def __init__(self, loop: asyncio.AbstractEventLoop, size: int) -> None:
        self.done: asyncio.Future[list[Outgoing]] = loop.create_future()
        self._loop = loop
        self._open = size
        self._failed: list[Outgoing] = []

    def report(self, message: Outgoing, error: KafkaError | None) -> None:
        if error is not None:
            _LOG.warning("a message to %s was not delivered: %s", message.topic, error.str())
            self._failed.append(message)
        self._open -= 1
        if self._open == 0:
            # The loop may be closed when the process is ending; then nobody waits any more.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._finish)

    def _finish(self) -> None:
        if not self.done.done():
            self.done.set_result(self._failed)


def _is_fatal(error: KafkaError) -> bool:
    # `produce` raises the code without the flag.
    return error.fatal() or error.code() == KafkaError._FATAL
