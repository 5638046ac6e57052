"""Nothing disappears uncounted: a full queue, a broker that refuses, the end."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError, KafkaException
from tests.rigs.fake_producer import FakeProducer

from ragwheel.client import RagwheelClient, TopicStats

HITS = [("c-1", 0.9, "one"), ("c-2", 0.8, "two")]


def test_a_full_queue_drops_and_counts(
    client: RagwheelClient, producer: FakeProducer, caplog: pytest.LogCaptureFixture
) -> None:
    producer.room = 2
    assert [client.emit_retrieval("q", "x", HITS) for _ in range(50)] == [True] * 2 + [False] * 48
    assert client.stats().topics["retrievals"] == TopicStats(queued=2, dropped=48)
    (line,) = caplog.messages
    assert "RAGWHEEL_CLIENT_QUEUE_MIB" in line
    assert "RAGWHEEL_KAFKA_BOOTSTRAP_SERVERS (localhost:9092)" in line


def test_an_indexing_job_may_wait_for_room(client: RagwheelClient, producer: FakeProducer) -> None:
    producer.room = 2
    assert client.emit_chunks([(f"c-{n}", str(n)) for n in range(50)], wait_s=5.0) == 50
    assert client.stats().topics["chunks"].dropped == 0


def test_every_queued_event_ends_as_delivered_or_failed(
    client: RagwheelClient, producer: FakeProducer, caplog: pytest.LogCaptureFixture
) -> None:
    client.emit_query("one")
    assert client.stats().total.pending == 1
    assert client.flush() == 0
    client.emit_query("two")
    client.emit_query("three")
    producer.fail(KafkaError.UNKNOWN_TOPIC_OR_PART)
    assert client.stats().total == TopicStats(queued=3, delivered=1, failed=2)
    assert client.stats().total.pending == 0
    (line,) = caplog.messages
    assert "ragwheel.queries" in line
    assert "the topic exists" in line


def test_a_producer_that_refuses_drops_and_counts(
    client: RagwheelClient, producer: FakeProducer, caplog: pytest.LogCaptureFixture
) -> None:
    producer.raises = KafkaException(KafkaError(KafkaError._FATAL))
    assert not client.feedback("q", "cited")
    assert client.stats().total == TopicStats(dropped=1)
    assert len(caplog.messages) == 1


def test_events_after_close_are_dropped_and_counted(
    client: RagwheelClient, producer: FakeProducer
) -> None:
    with client:
        client.emit_query("one")
    client.close()
    client.emit_query("two")
    assert client.stats().total == TopicStats(queued=1, delivered=1, dropped=1)
