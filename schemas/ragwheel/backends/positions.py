"""Positions of topics and consumer groups on the broker."""

from __future__ import annotations

import time
from collections.abc import Iterable

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from ragwheel.backends import kafka
from ragwheel.schemas.errors import UnavailableError
from ragwheel.schemas.settings import KafkaSettings
from ragwheel.schemas.topics import TOPICS, Partition, TopicName

_TIMEOUT_S = 10.0
_MOVING = frozenset(
    {
        KafkaError.NOT_COORDINATOR,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    }
)


class Broker:
    """Asks the broker. Every method raises UnavailableError when it does not answer.

    Asks through consumers that never join their group: confluent-kafka 2.16's
    `AdminClient.list_consumer_group_offsets` was seen to crash the process (SIGSEGV) on a broker
    whose first group was just being made.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._consumers: dict[str, Consumer] = {}
        self._names: dict[str, TopicName] = {settings.topic_prefix + n: n for n in TOPICS}

    def partitions(self) -> list[Partition]:
        """Partitions of the registry's topics that exist."""
        try:
            topics = self._consumer("").list_topics(timeout=_TIMEOUT_S).topics
        except KafkaException as error:
            raise self._unavailable(error) from None
        return [
            Partition(name, number)
            for physical, name in self._names.items()
            if physical in topics and topics[physical].error is None
            for number in sorted(topics[physical].partitions)
        ]

    def committed(self, group: str, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """Next offset that the group reads, of those partitions with a commit."""
        asked = [self._partition(partition) for partition in partitions]
        if not asked:
            return {}
        deadline = time.monotonic() + _TIMEOUT_S
        while True:
            try:
                found = self._consumer(group).committed(asked, timeout=_TIMEOUT_S)
                break
            except KafkaException as error:
                # A coordinator that moves, or is elected for the first time, says so and is asked
                # again; the client does not do that for this request.
                if error.args[0].code() not in _MOVING or time.monotonic() > deadline:
                    raise self._unavailable(error) from None
                time.sleep(0.1)
        return {
            Partition(self._names[each.topic], each.partition): each.offset
            for each in found
            if each.offset >= 0
        }

    def ends(self, partitions: Iterable[Partition]) -> dict[Partition, tuple[int, int]]:
        """(oldest kept offset, offset of the next message) of each partition."""
        found: dict[Partition, tuple[int, int]] = {}
        for partition in partitions:
            try:
                ends = self._consumer("").get_watermark_offsets(
                    self._partition(partition), timeout=_TIMEOUT_S
                )
            except KafkaException as error:
                raise self._unavailable(error) from None
            if ends is None:
                raise UnavailableError(f"{self._settings.topic_prefix}{partition.topic}: no answer")
            found[partition] = (ends[0], ends[1])
        return found

    def close(self) -> None:
        """Release the connections."""
        while self._consumers:
            self._consumers.popitem()[1].close()

    def _consumer(self, group: str) -> Consumer:
        if group not in self._consumers:
            # A name is required even where no group is asked about.
            self._consumers[group] = kafka.consumer(self._settings, group or "ragwheel-positions")
        return self._consumers[group]

    def _partition(self, partition: Partition) -> TopicPartition:
        return TopicPartition(self._settings.topic_prefix + partition.topic, partition.number)

    def _unavailable(self, error: KafkaException) -> UnavailableError:
        return UnavailableError(
            f"Kafka at {self._settings.kafka_bootstrap_servers!r} did not answer: "
            f"{error.args[0].str()}"
        )
