"""Producing to Kafka, and knowing that the broker has it."""

from __future__ import annotations

import time
from collections.abc import Iterable

from confluent_kafka import KafkaError, Producer

from ragwheel.backends import kafka
from ragwheel.schemas import wire
from ragwheel.schemas.errors import UnavailableError
from ragwheel.schemas.events import Record
from ragwheel.schemas.settings import KafkaSettings
from ragwheel.schemas.topics import TOPICS, TopicName

_DELIVERY_S = 60


class Publisher:
    """Sends records of the registry's topics and returns once all are acknowledged."""

    def __init__(self, settings: KafkaSettings) -> None:
        """Opens a producer; connects when something is sent."""
        self._settings = settings
        self._producer: Producer = kafka.producer(settings, message_timeout_ms=_DELIVERY_S * 1_000)

    def publish(self, topic: TopicName, records: Iterable[Record]) -> None:
        """Send `records` in order.

        Raises:
            UnavailableError: some were not acknowledged; sending all again is safe, because every
                record has an identity.
        """
        failures: list[KafkaError] = []
        deadline = time.monotonic() + _DELIVERY_S

        def on_delivery(error: KafkaError | None, _: object) -> None:
            if error is not None:
                failures.append(error)

        name = kafka.physical(self._settings, topic)
        for record in records:
            value, key = wire.encode(record), wire.key_of(TOPICS[topic], record)
            while True:
                try:
                    self._producer.produce(name, value=value, key=key, on_delivery=on_delivery)
                    break
                except BufferError:  # the local queue is full: let it drain
                    self._producer.poll(0.1)
        unsent = self._producer.flush(max(0.0, deadline - time.monotonic()))
        if failures or unsent:
            why = failures[0].str() if failures else "no acknowledgement"
            raise UnavailableError(
                f"{len(failures) + unsent} records for {name} were not accepted by "
                f"{self._settings.kafka_bootstrap_servers!r} ({why}): check the broker and "
                "RAGWHEEL_KAFKA_BOOTSTRAP_SERVERS"
            )
