"""Positions of topics and consumer groups on the broker, and who is in a group."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Self, TypeVar

from confluent_kafka import (
    Consumer,
    ConsumerGroupState,
    KafkaError,
    KafkaException,
    TopicCollection,
    TopicPartition,
)

from ragwheel.backends import kafka
from ragwheel.schemas.errors import UnavailableError
from ragwheel.schemas.settings import KafkaSettings
from ragwheel.schemas.topics import TOPICS, Partition, TopicName

_T = TypeVar("_T")

_TIMEOUT_S = 10.0
_RETRY_S = 0.1
#: The group's coordinator is being elected or moves: on a new broker, with the very first group.
_MOVING = frozenset(
    {
        KafkaError.NOT_COORDINATOR,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    }
)


class Broker:
    """Asks the broker. Every method raises UnavailableError when it does not answer.

    A context manager, or to be closed.

    Asks through consumers that never join their group: confluent-kafka 2.16's
    `AdminClient.list_consumer_group_offsets` was seen to crash the process (SIGSEGV) on a broker
    whose first group was just being made.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._consumers: dict[str, Consumer] = {}
        self._names: dict[str, TopicName] = {settings.topic_prefix + n: n for n in TOPICS}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def partitions(self) -> list[Partition]:
        """Partitions of the registry's topics that exist."""
        topics = self._ask(lambda: self._consumer("").list_topics(timeout=_TIMEOUT_S).topics)
        return [
            Partition(name, number)
            for physical, name in self._names.items()
            if physical in topics and topics[physical].error is None
            for number in sorted(topics[physical].partitions)
        ]

    def origins(self) -> dict[TopicName, str]:
        """The incarnation of each topic of the registry that exists: its id on the broker.

        A broker that gives topics no ids (before Kafka 2.8, some that only speak its protocol) is
        told apart by its cluster's id and the topic's name.
        """

        def ask() -> dict[TopicName, str]:
            admin = kafka.admin(self._settings)
            cluster = admin.list_topics(timeout=_TIMEOUT_S)
            names = [name for name in self._names if name in cluster.topics]
            if not names:
                return {}
            asked = admin.describe_topics(TopicCollection(names), request_timeout=_TIMEOUT_S)
            found: dict[TopicName, str] = {}
            for name, future in asked.items():
                topic_id = str(future.result(timeout=_TIMEOUT_S + 1).topic_id)
                has_id = topic_id.strip("A=") != ""  # all zero bits in base64
                found[self._names[name]] = topic_id if has_id else f"{cluster.cluster_id}/{name}"
            return found

        return self._ask(ask)

    def committed(self, group: str, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """Next offset that the group reads, of those partitions with a commit."""
        asked = [self._partition(partition) for partition in partitions]
        if not asked:
            return {}
        found = self._ask(lambda: self._consumer(group).committed(asked, timeout=_TIMEOUT_S))
        return {
            Partition(self._names[each.topic], each.partition): each.offset
            for each in found
            if each.offset >= 0
        }

    def ends(self, partitions: Iterable[Partition]) -> dict[Partition, tuple[int, int]]:
        """(oldest kept offset, offset of the next message) of each partition."""
        found: dict[Partition, tuple[int, int]] = {}
        for partition in partitions:
            asked = self._partition(partition)
            ends = self._ask(
                partial(self._consumer("").get_watermark_offsets, asked, timeout=_TIMEOUT_S)
            )
            if ends is None:
                raise self._unavailable(f"no ends of {asked.topic}")
            found[partition] = (ends[0], ends[1])
        return found

    def members(self, group: str) -> int:
        """Processes that are in the group now; 0 if there never was such a group."""
        found = self._group(group)
        return len(found.members) if found else 0

    def reads_nothing(self, group: str) -> bool:
        """Whether the group has members, is at rest, and no partition was given to any of them."""
        found = self._group(group)
        return (
            found is not None
            and found.state == ConsumerGroupState.STABLE
            and bool(found.members)
            and not any(member.assignment.topic_partitions for member in found.members)
        )

    def _group(self, group: str) -> Any:
        """What the broker says of the group; None if there never was one."""

        def ask() -> Any:
            # A new client each time: one that was sent to the wrong coordinator keeps asking it.
            admin = kafka.admin(self._settings)
            future = admin.describe_consumer_groups([group], request_timeout=_TIMEOUT_S)[group]
            try:
                return future.result(timeout=_TIMEOUT_S + 1)
            except KafkaException as error:
                if error.args[0].code() == KafkaError.GROUP_ID_NOT_FOUND:
                    return None
                raise

        return self._ask(ask)

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

    def _ask(self, question: Callable[[], _T]) -> _T:
        """Ask again while a coordinator moves; the client does not do that for these requests."""
        deadline = time.monotonic() + _TIMEOUT_S
        while True:
            try:
                return question()
            except KafkaException as error:
                why: KafkaError = error.args[0]
                if why.code() not in _MOVING or time.monotonic() > deadline:
                    raise self._unavailable(f"{why.name()} {why.str()}") from None
            except TimeoutError:
                raise self._unavailable("no answer in time") from None
            time.sleep(_RETRY_S)

    def _unavailable(self, why: str) -> UnavailableError:
        return UnavailableError(
            f"Kafka at {self._settings.kafka_bootstrap_servers!r} did not answer ({why}): start it "
            "(`ragwheel up`) or set RAGWHEEL_KAFKA_BOOTSTRAP_SERVERS"
        )
