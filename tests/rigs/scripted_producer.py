"""A producer without a broker that takes, refuses, delays and dies as it is told."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from confluent_kafka import KafkaError, KafkaException

OnDelivery = Callable[[KafkaError | None, Any], None]

FATAL = KafkaError(KafkaError._FATAL)


class ScriptedProducer:
    """The part of `confluent_kafka.Producer` that publishers use.

    Attributes:
        sent: (physical topic, key, value, headers) of everything that the broker took.
        limit: largest value, bytes; a larger one is refused at once.
        faults: answers to the next messages, instead of success.
        full: so many times there is no room.
        slow: so many times `flush` ends before everything is answered.
        patient: answers come with `poll` and `flush` instead of at once.
        silent: no answers come at all.
        dies: raised once from the next `poll` or `flush`.
    """

    def __init__(self, limit: int = 1_000_000, *, patient: bool = False) -> None:
        self.sent: list[tuple[str, Any, Any, dict[str, bytes]]] = []
        self.limit = limit
        self.faults: list[KafkaError] = []
        self.full = 0
        self.slow = 0
        self.patient = patient
        self.silent = False
        self.dies: Exception | None = None
        self._waiting: deque[tuple[tuple[str, Any, Any, dict[str, bytes]], OnDelivery]] = deque()

    def produce(
        self, topic: str, *, value: Any, key: Any, headers: Any, on_delivery: OnDelivery
    ) -> None:
        if self.full:
            self.full -= 1
            raise BufferError
        if len(value or b"") > self.limit:
            raise KafkaException(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE))
        self._waiting.append(((topic, key, value, dict(headers)), on_delivery))
        if not self.patient:
            self._answer()

    def poll(self, _: float) -> int:
        self._die()
        self._answer()
        return 0

    def flush(self, _: float) -> int:
        self._die()
        self._answer()
        self.slow -= 1
        return max(self.slow + 1, len(self._waiting))

    def purge(self) -> None:
        """Give up everything that waits, as librdkafka does."""
        while self._waiting:
            self._waiting.popleft()[1](KafkaError(KafkaError._PURGE_QUEUE), None)

    def values(self) -> list[bytes]:
        """What the broker took, in its order."""
        return [value for _, _, value, _ in self.sent]

    def _die(self) -> None:
        if self.dies is not None:
            error, self.dies = self.dies, None
            raise error

    def _answer(self) -> None:
        while self._waiting and not self.silent:
            message, on_delivery = self._waiting.popleft()
            if self.faults:
                on_delivery(self.faults.pop(0), None)
            else:
                self.sent.append(message)
                on_delivery(None, None)
