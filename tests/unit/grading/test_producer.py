"""Durable publishing: it returns when everything is confirmed, and sends again what is not."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, cast

from confluent_kafka import KafkaError, Producer

from ragwheel.grading.producer import DurablePublisher, Outgoing

_Report = Callable[[KafkaError | None, Any], None]


class FakeProducer:
    """Takes messages; reports on `poll`, failing as scripted."""

    def __init__(self, fail: int = 0, full: int = 0) -> None:
        self.delivered: list[bytes] = []
        self.open = True
        self._fail = fail
        self._full = full
        self._queue: deque[tuple[bytes, _Report]] = deque()

    def produce(self, topic: str, *, value: bytes, on_delivery: _Report, **_: object) -> None:
        if self._full:
            self._full -= 1
            raise BufferError
        self._queue.append((value, on_delivery))

    def poll(self, _: float) -> None:
        while self.open and self._queue:
            value, report = self._queue.popleft()
            if self._fail:
                self._fail -= 1
                report(KafkaError(KafkaError._MSG_TIMED_OUT), None)
            else:
                self.delivered.append(value)
                report(None, None)

    def flush(self, _: float) -> int:
        self.poll(0)
        return len(self._queue)


def _publisher(fake: FakeProducer) -> DurablePublisher:
    return DurablePublisher(cast(Producer, fake), retry_wait_s=0.0)


def _messages(count: int) -> list[Outgoing]:
    return [Outgoing("t", b"k", str(number).encode()) for number in range(count)]


async def test_it_returns_when_every_message_is_confirmed() -> None:
    fake = FakeProducer()
    fake.open = False
    with _publisher(fake) as publisher:
        publishing = asyncio.create_task(publisher.publish(_messages(20)))
        await asyncio.sleep(0.1)
        assert not publishing.done()
        fake.open = True
        await asyncio.wait_for(publishing, 5)
    assert len(fake.delivered) == 20


async def test_what_was_not_delivered_is_sent_again_and_only_that() -> None:
    fake = FakeProducer(fail=7)
    with _publisher(fake) as publisher:
        await asyncio.wait_for(publisher.publish(_messages(20)), 5)
    assert sorted(fake.delivered) == sorted(str(number).encode() for number in range(20))


async def test_a_full_queue_is_waited_for() -> None:
    fake = FakeProducer(full=2)
    with _publisher(fake) as publisher:
        await asyncio.wait_for(publisher.publish(_messages(3)), 5)
    assert len(fake.delivered) == 3


async def test_nothing_to_publish_returns_at_once() -> None:
    fake = FakeProducer()
    with _publisher(fake) as publisher:
        await asyncio.wait_for(publisher.publish([]), 1)
    assert fake.delivered == []
