"""The client against a real Apache Kafka."""

from __future__ import annotations

import time

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from ragwheel.backends import kafka
from ragwheel.client import RagwheelClient, TopicStats
from ragwheel.schemas import wire
from ragwheel.schemas.events import Event, Record
from ragwheel.schemas.settings import KafkaSettings
from ragwheel.schemas.topics import SERVICE_TOPICS, TOPICS, TopicName
from ragwheel.stack.kafka import KafkaBroker

pytestmark = [pytest.mark.integration, pytest.mark.spread]

HITS = [(f"c-{n}", 1.0 / n, f"text {n}") for n in range(1, 21)]


def read(settings: KafkaSettings, name: TopicName) -> list[Record]:
    """Everything in a topic, decoded as intake decodes it."""
    consumer = kafka.consumer(settings, "test")
    topic = kafka.physical(settings, name)
    try:
        partitions = range(TOPICS[name].partitions)
        ends = [_end(consumer, topic, partition) for partition in partitions]
        consumer.assign([TopicPartition(topic, partition, 0) for partition in partitions])
        found: list[Record] = []
        while len(found) < sum(ends):
            batch = consumer.consume(sum(ends) - len(found), timeout=20)
            assert batch, f"{len(found)} of {sum(ends)} messages of {topic}"
            for message in batch:
                assert message.error() is None
                found.append(wire.decode(TOPICS[name], message.key(), message.value()))
        return found
    finally:
        consumer.close()


def _end(consumer: Consumer, topic: str, partition: int) -> int:
    """Offset after the last message; a partition that was just created has no leader at first."""
    deadline_s = time.monotonic() + 20
    while True:
        try:
            return int(consumer.get_watermark_offsets(TopicPartition(topic, partition), 20)[1])
        except KafkaException as error:
            if error.args[0].code() != KafkaError.NOT_LEADER_FOR_PARTITION:
                raise
            assert time.monotonic() < deadline_s, f"{topic} [{partition}] has no leader"
            time.sleep(0.05)


def test_what_a_service_tells_is_what_intake_reads(kafka_settings: KafkaSettings) -> None:
    kafka.create_topics(kafka_settings)
    client = RagwheelClient(
        kafka_bootstrap_servers=kafka_settings.kafka_bootstrap_servers,
        topic_prefix=kafka_settings.topic_prefix,
        service="shop",
    )
    ids = []
    for number in range(100):
        with client.query(f"question {number}", segment="docs") as query:
            query.retrieved(HITS, stage="dense", k=20)
            query.used(HITS[:3])
            query.cited("c-1")
        ids.append(query.query_id)
    client.emit_chunks([(hit[0], hit[2]) for hit in HITS])
    assert client.flush(30) == 0
    assert client.stats().total == TopicStats(queued=320, delivered=320)
    client.close()
    for name in SERVICE_TOPICS[:3]:
        found = [record for record in read(kafka_settings, name) if isinstance(record, Event)]
        assert sorted(record.query_id for record in found) == sorted(ids)
        assert {record.service for record in found} == {"shop"}
    assert len(read(kafka_settings, "chunks")) == 20


def test_a_topic_that_does_not_exist_fails_with_its_name(
    kafka_settings: KafkaSettings, caplog: pytest.LogCaptureFixture
) -> None:
    client = RagwheelClient(
        kafka_bootstrap_servers=kafka_settings.kafka_bootstrap_servers,
        topic_prefix=kafka_settings.topic_prefix,
        client_message_timeout_s=2.0,
    )
    client.emit_query("x")
    assert client.flush(30) == 0
    stats = client.stats().topics["queries"]
    client.close()
    assert (stats.queued, stats.delivered, stats.failed) == (1, 0, 1)
    (line,) = caplog.messages
    assert f"{kafka_settings.topic_prefix}queries" in line
    assert "the topic exists" in line


@pytest.mark.slow
def test_a_broker_that_is_killed_and_comes_back_loses_nothing(own_kafka: KafkaBroker) -> None:
    settings = KafkaSettings(kafka_bootstrap_servers=own_kafka.bootstrap_servers)
    kafka.create_topics(settings)
    client = RagwheelClient(
        kafka_bootstrap_servers=own_kafka.bootstrap_servers, client_message_timeout_s=120
    )
    for number in range(200):
        client.emit_query("x", query_id=f"before-{number}")
    own_kafka.kill()
    for number in range(200):
        client.emit_query("x", query_id=f"during-{number}")
    own_kafka.start()
    for number in range(200):
        client.emit_query("x", query_id=f"after-{number}")
    assert client.flush(60) == 0
    assert client.stats().total == TopicStats(queued=600, delivered=600)
    client.close()
    found = {record.query_id for record in read(settings, "queries") if isinstance(record, Event)}
    assert found == {f"{when}-{n}" for when in ("before", "during", "after") for n in range(200)}
