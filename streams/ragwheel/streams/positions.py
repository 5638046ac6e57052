"""Positions of topics and consumer groups on the broker."""

from __future__ import annotations

from collections.abc import Iterable

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin import OffsetSpec as _OffsetSpec  # type: ignore[attr-defined] # no stub

from ragwheel.schemas.errors import UnavailableError
from ragwheel.schemas.kafka import connection
from ragwheel.schemas.settings import KafkaSettings
from ragwheel.schemas.topics import TOPICS, TopicName

Place = tuple[TopicName, int]
"""A topic and one of its partitions."""

_TIMEOUT_S = 10.0
_EARLIEST = _OffsetSpec.earliest()  # type: ignore[no-untyped-call] # no stub
_LATEST = _OffsetSpec.latest()  # type: ignore[no-untyped-call] # no stub


class Positions:
    """Asks the broker. Every method raises UnavailableError when it does not answer."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._admin = AdminClient(connection(settings))
        self._names: dict[str, TopicName] = {settings.topic_prefix + n: n for n in TOPICS}

    def partitions(self) -> list[Place]:
        """Partitions of the registry's topics that exist."""
        try:
            topics = self._admin.list_topics(timeout=_TIMEOUT_S).topics
        except KafkaException as error:
            raise self._unavailable(error) from None
        return [
            (name, partition)
            for physical, name in self._names.items()
            if physical in topics and topics[physical].error is None
            for partition in sorted(topics[physical].partitions)
        ]

    def committed(self, group: str) -> dict[Place, int]:
        """Next offset that the group reads, of partitions with a commit."""
        request = [ConsumerGroupTopicPartitions(group)]
        try:
            future = self._admin.list_consumer_group_offsets(request, request_timeout=_TIMEOUT_S)
            found = future[group].result(timeout=_TIMEOUT_S + 1).topic_partitions or []
        except KafkaException as error:
            if error.args[0].code() == KafkaError.GROUP_ID_NOT_FOUND:
                return {}
            raise self._unavailable(error) from None
        return {
            (self._names[p.topic], p.partition): p.offset
            for p in found
            if p.topic in self._names and p.offset >= 0
        }

    def ends(self, places: Iterable[Place]) -> dict[Place, tuple[int, int]]:
        """(oldest kept offset, offset of the next message) of each partition."""
        wanted = list(places)
        low = self._offsets(wanted, _EARLIEST)
        high = self._offsets(wanted, _LATEST)
        return {place: (low[place], high[place]) for place in wanted}

    def _offsets(self, places: list[Place], spec: _OffsetSpec) -> dict[Place, int]:
        asked = {
            TopicPartition(self._settings.topic_prefix + topic, partition): spec
            for topic, partition in places
        }
        if not asked:
            return {}
        try:
            futures = self._admin.list_offsets(asked, request_timeout=_TIMEOUT_S)
            return {
                (self._names[p.topic], p.partition): future.result(timeout=_TIMEOUT_S + 1).offset
                for p, future in futures.items()
            }
        except KafkaException as error:
            raise self._unavailable(error) from None

    def _unavailable(self, error: KafkaException) -> UnavailableError:
        return UnavailableError(
            f"Kafka at {self._settings.kafka_bootstrap_servers!r} did not answer: "
            f"{error.args[0].str()}"
        )
