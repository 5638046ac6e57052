"""The durable send over the real protocol: outages, a broker that forbids, an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from tests.rigs.mock_kafka import MockKafka

from ragwheel.backends.publish import AsyncPublisher, Outgoing, Publisher
from ragwheel.schemas.errors import UnavailableError
from ragwheel.schemas.settings import KafkaSettings

pytestmark = pytest.mark.integration


@pytest.fixture
def broker() -> Iterator[MockKafka]:
    with MockKafka("t.queries") as made:
        yield made


@pytest.fixture
def settings(broker: MockKafka) -> KafkaSettings:
    return KafkaSettings(kafka_bootstrap_servers=broker.servers, topic_prefix="t.")


def messages(count: int) -> list[Outgoing]:
    return [Outgoing("queries", b"k", str(number).encode()) for number in range(count)]


def values(broker: MockKafka) -> list[bytes | None]:
    return [value for _, value in broker.read("t.queries")]


def test_what_was_published_is_on_the_broker_in_its_order(
    broker: MockKafka, settings: KafkaSettings
) -> None:
    Publisher(settings).publish(messages(500))
    assert values(broker) == [each.value for each in messages(500)]


def test_an_outage_is_told_and_the_same_publisher_works_after_it(
    broker: MockKafka, settings: KafkaSettings
) -> None:
    alive: list[int] = []
    publisher = Publisher(settings, timeout_s=3.0, while_waiting=lambda: alive.append(1))
    broker.down()
    with pytest.raises(UnavailableError, match=r"t\.queries.*timed out"):
        publisher.publish(messages(2))
    assert alive
    broker.up()
    publisher.publish(messages(2))
    assert values(broker) == [b"0", b"1"]


def test_a_producer_that_the_broker_forbade_is_replaced_once_it_is_allowed(
    broker: MockKafka, settings: KafkaSettings
) -> None:
    broker.forbid_next_producer()
    publisher = Publisher(settings, timeout_s=10.0)
    with pytest.raises(UnavailableError):
        publisher.publish(messages(2))
    publisher.publish(messages(2))
    assert values(broker) == [b"0", b"1"]


async def test_a_loop_waits_through_an_outage(broker: MockKafka, settings: KafkaSettings) -> None:
    with AsyncPublisher(Publisher(settings, timeout_s=2.0), retry_wait_s=0.1) as publisher:
        await publisher.publish(messages(1))
        broker.down()
        publishing = asyncio.create_task(publisher.publish(messages(3)[1:]))
        await asyncio.sleep(3.0)
        assert not publishing.done()
        broker.up()
        await asyncio.wait_for(publishing, 60)
    assert sorted(value or b"" for value in values(broker)) == [b"0", b"1", b"2"]


async def test_a_loop_is_told_that_a_forbidden_producer_will_never_deliver(
    broker: MockKafka, settings: KafkaSettings
) -> None:
    broker.forbid_next_producer()
    told = pytest.raises(UnavailableError, match="failed for good")
    with AsyncPublisher(Publisher(settings), retry_wait_s=0.1) as publisher, told:
        await asyncio.wait_for(publisher.publish(messages(2)), 60)
