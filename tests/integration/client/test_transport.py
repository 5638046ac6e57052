"""The client's Kafka transport keeps the contract of transports, on a mock and on a real broker.

tests/unit/client/test_recording.py holds the recording transport to the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from tests.integration.client.test_kafka import read
from tests.rigs.mock_kafka import MockKafka
from tests.unit.client.transport_contract import Line, TransportContract

from ragwheel.backends import kafka
from ragwheel.client.complaints import Complaints
from ragwheel.client.kafka_transport import KafkaTransport
from ragwheel.client.stats import Counters
from ragwheel.schemas import wire
from ragwheel.schemas.events import Record
from ragwheel.schemas.settings import ClientSettings, KafkaSettings
from ragwheel.schemas.topics import SERVICE_TOPICS, TOPICS, TopicName

pytestmark = pytest.mark.integration


def _line(settings: ClientSettings, arrived: Callable[[TopicName], list[Record]]) -> Line:
    counters = Counters()
    return Line(KafkaTransport(settings, counters, Complaints()), counters, arrived)


class TestOnTheMockBroker(TransportContract):
    @pytest.fixture
    def line(self) -> Iterator[Line]:
        with MockKafka(*(f"ragwheel.{name}" for name in SERVICE_TOPICS)) as broker:

            def arrived(topic: TopicName) -> list[Record]:
                found = broker.read(f"ragwheel.{topic}")
                return [wire.decode(TOPICS[topic], key, value) for key, value in found]

            line = _line(ClientSettings(kafka_bootstrap_servers=broker.servers), arrived)
            yield line
            line.transport.close(0)


class TestOnARealBroker(TransportContract):
    @pytest.fixture
    def line(self, kafka_settings: KafkaSettings) -> Iterator[Line]:
        kafka.create_topics(kafka_settings, topics=[TOPICS[name] for name in SERVICE_TOPICS])
        settings = ClientSettings(
            kafka_bootstrap_servers=kafka_settings.kafka_bootstrap_servers,
            topic_prefix=kafka_settings.topic_prefix,
        )
        line = _line(settings, lambda topic: read(kafka_settings, topic))
        yield line
        line.transport.close(0)
