"""A producer without a broker: keeps what is sent and answers as it is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from confluent_kafka import KafkaError

from ragwheel.schemas import wire
from ragwheel.schemas.events import Record
from ragwheel.schemas.topics import TOPICS, TopicName

OnDelivery = Callable[[KafkaError | None, Any], None]


class FakeProducer:
    """The part of `confluent_kafka.Producer` that the client uses.

    Attributes:
        sent: (logical topic, key, value) of everything accepted.
        room: how many more messages fit; each poll that delivers makes room again.
    """

    def __init__(self, prefix: str = "ragwheel.") -> None:
        self.sent: list[tuple[TopicName, bytes, bytes]] = []
        self.room = 1_000_000
        self.raises: Exception | None = None
        self._prefix = prefix
        self._waiting: list[OnDelivery] = []

    def produce(self, topic: str, value: bytes, key: bytes, on_delivery: OnDelivery) -> None:
        if self.raises is not None:
            raise self.raises
        if self.room == 0:
            raise BufferError("Local: Queue full")
        self.room -= 1
        name = topic.removeprefix(self._prefix)
        assert name in TOPICS
        self.sent.append((name, key, value))
        self._waiting.append(on_delivery)

    def poll(self, timeout: float = 0) -> int:
        """Deliver one message."""
        return self._deliver(1, None)

    def flush(self, timeout: float) -> int:
        self._deliver(len(self._waiting), None)
        return len(self._waiting)

    def fail(self, code: int) -> None:
        """Give up everything that waits."""
        self._deliver(len(self._waiting), KafkaError(code))

    def _deliver(self, count: int, error: KafkaError | None) -> int:
        ready, self._waiting = self._waiting[:count], self._waiting[count:]
        for on_delivery in ready:
            self.room += 1
            on_delivery(error, None)
        return len(ready)

    def records(self, *topics: TopicName) -> list[Record]:
        """What was sent, as intake reads it; fails if intake would not take it."""
        return [
            wire.decode(TOPICS[topic], key, value)
            for topic, key, value in self.sent
            if not topics or topic in topics
        ]
