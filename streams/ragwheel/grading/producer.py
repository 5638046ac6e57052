"""Durable produce for asyncio: returns when the broker has the messages, all of them.

confluent-kafka instead of Faust's own producer: a job makes twenty labels, and librdkafka takes a
message in microseconds, batches and compresses on its own thread, and is idempotent. Only one
wake-up per job crosses into the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from ragwheel.schemas.deadletters import Headers

_LOG = logging.getLogger(__name__)
_POLL_S = 0.05
_FULL_QUEUE_WAIT_S = 0.05


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to produce. `topic` is physical."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers = field(default_factory=list)


class Publisher(Protocol):
    """Where results go."""

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        """Return once all are durable; retry for as long as it takes."""


class DurablePublisher:
    """`Publisher` over a confluent-kafka producer with acks=all. Use as a context manager."""

    def __init__(self, producer: Producer, *, retry_wait_s: float = 1.0) -> None:
        """`producer` should be idempotent, so that its own retries cannot duplicate."""
        self._producer = producer
        self._retry_wait_s = retry_wait_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._poll, name="label-producer", daemon=True)

    def __enter__(self) -> DurablePublisher:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        with contextlib.suppress(KafkaException):
            self._producer.flush(5.0)

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        """Return once the brokers have confirmed every message; what fails is sent again.

        It never gives up: an unreachable broker also delivers no further work, so waiting loses
        nothing, while giving up would acknowledge work whose result is lost.
        """
        remaining = list(messages)
        while remaining:
            remaining = await self._publish_once(remaining)
            if remaining:
                await asyncio.sleep(self._retry_wait_s)

    async def _publish_once(self, messages: Sequence[Outgoing]) -> list[Outgoing]:
        """Produce and wait for all reports; those that failed."""
        batch = _Batch(asyncio.get_running_loop(), len(messages))
        for message in messages:
            while not self._accept(message, batch):
                await asyncio.sleep(_FULL_QUEUE_WAIT_S)
        return await batch.done

    def _accept(self, message: Outgoing, batch: _Batch) -> bool:
        def report(error: KafkaError | None, _: Message) -> None:
            batch.report(message, error)

        try:
            self._producer.produce(
                message.topic,
                key=message.key,
                value=message.value,
                headers=list(message.headers),
                on_delivery=report,
            )
        except BufferError:
            return False
        return True

    def _poll(self) -> None:
        while not self._stop.is_set():
            self._producer.poll(_POLL_S)


class _Batch:
    """Counts delivery reports on the producer's thread, wakes the loop once at the end."""

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
