"""The Kafka launcher: a real broker that starts, keeps its data, and comes back."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from tests.rigs.servers import SharedKafka

from ragwheel.schemas.errors import ConfigError
from ragwheel.schemas.limits import MAX_MESSAGE_BYTES
from ragwheel.stack.kafka import KafkaBroker
from ragwheel.stack.processes import ProcessFailedError

pytestmark = [pytest.mark.integration, pytest.mark.spread]

_QUIET: dict[str, Any] = {"logger": logging.getLogger("rdkafka.test"), "log_level": 2}


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[KafkaBroker]:
    with KafkaBroker(tmp_path / "kafka") as started:
        yield started


def admin(broker: KafkaBroker | SharedKafka) -> AdminClient:
    return AdminClient({"bootstrap.servers": broker.bootstrap_servers, **_QUIET})


def create_topic(broker: KafkaBroker | SharedKafka, name: str) -> None:
    client = admin(broker)  # held: the futures fail when their client is collected
    for created in client.create_topics([NewTopic(name, 2)]).values():
        created.result(timeout=20)


def produce(broker: KafkaBroker, topic: str, values: list[bytes]) -> None:
    producer = Producer({"bootstrap.servers": broker.bootstrap_servers, "acks": "all", **_QUIET})
    for value in values:
        producer.produce(topic, value, key=value)
    assert producer.flush(30) == 0


def read_all(broker: KafkaBroker, topic: str, count: int) -> set[bytes]:
    consumer = Consumer(
        {
            "bootstrap.servers": broker.bootstrap_servers,
            "group.id": "test",
            "auto.offset.reset": "earliest",
            **_QUIET,
        }
    )
    consumer.subscribe([topic])
    values: set[bytes] = set()
    deadline = time.monotonic() + 30
    while len(values) < count and time.monotonic() < deadline:
        for message in consumer.consume(100, timeout=0.5):
            assert message.error() is None
            values.add(message.value() or b"")
    consumer.close()
    return values


def values(start: int, count: int = 100) -> list[bytes]:
    return [b"%d" % number for number in range(start, start + count)]


def test_messages_topics_identity_and_port_survive_a_clean_restart_and_a_kill(
    broker: KafkaBroker,
) -> None:
    create_topic(broker, "orders")
    produce(broker, "orders", values(0))
    address = broker.bootstrap_servers
    cluster = admin(broker).list_topics(timeout=10).cluster_id

    broker.stop()
    assert broker.pid is None
    broker.start()
    produce(broker, "orders", values(100))

    broker.kill()
    broker.start()

    assert broker.bootstrap_servers == address
    assert admin(broker).list_topics(timeout=10).cluster_id == cluster
    assert read_all(broker, "orders", 200) == {*values(0), *values(100)}


def test_a_second_broker_runs_beside_it_with_its_own_data(
    kafka_broker: SharedKafka, topic_prefix: str, tmp_path: Path
) -> None:
    with KafkaBroker(tmp_path / "other") as other:
        assert other.bootstrap_servers != kafka_broker.bootstrap_servers
        create_topic(kafka_broker, f"{topic_prefix}here")
        assert f"{topic_prefix}here" not in admin(other).list_topics(timeout=10).topics


def test_data_in_use_is_refused_by_name(
    kafka_broker: SharedKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ragwheel.stack.kafka.broker._DATA_LOCK_TIMEOUT_S", 0.2)
    with pytest.raises(ConfigError, match=f"another broker is running on {kafka_broker.data_dir}"):
        KafkaBroker(kafka_broker.data_dir).start()


def test_a_port_in_use_is_refused_by_number(kafka_broker: SharedKafka, tmp_path: Path) -> None:
    port = int(kafka_broker.bootstrap_servers.rpartition(":")[2])
    with pytest.raises(ConfigError, match=f"127.0.0.1:{port}: the port is in use"):
        KafkaBroker(tmp_path / "other", port=port).start()


def test_unknown_topics_are_errors_and_large_messages_pass_up_to_the_registrys_bound(
    kafka_broker: SharedKafka, topic_prefix: str
) -> None:
    large = f"{topic_prefix}large"
    create_topic(kafka_broker, large)
    producer = Producer(
        {
            "bootstrap.servers": kafka_broker.bootstrap_servers,
            "message.max.bytes": 8 * 1024 * 1024,
            "topic.metadata.propagation.max.ms": 0,
            **_QUIET,
        }
    )

    def outcome(topic: str, value: bytes) -> int:
        codes: list[int] = []
        try:
            producer.produce(
                topic,
                value,
                on_delivery=lambda error, _: codes.append(
                    KafkaError.NO_ERROR if error is None else error.code()
                ),
            )
        except KafkaException as error:  # the answer about the topic came before the message
            return int(error.args[0].code())
        assert producer.flush(30) == 0
        return codes[0]

    assert outcome(large, b"x" * (MAX_MESSAGE_BYTES - 1024)) == KafkaError.NO_ERROR
    assert outcome(large, b"x" * (MAX_MESSAGE_BYTES + 1024)) == KafkaError.MSG_SIZE_TOO_LARGE
    assert outcome(f"{topic_prefix}misspelt", b"x") in {
        KafkaError._UNKNOWN_TOPIC,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
    }


def test_a_failed_start_shows_why_and_leaves_nothing_running(tmp_path: Path) -> None:
    data_dir = tmp_path / "kafka"
    with KafkaBroker(data_dir):
        pass
    meta = data_dir / "storage" / "meta.properties"
    meta.write_text(meta.read_text().replace("node.id=1", "node.id=7"))
    broker = KafkaBroker(data_dir)
    with pytest.raises(ProcessFailedError, match=r"(?s)kafka ended with exit status.*node"):
        broker.start()
    assert broker.pid is None


def test_a_crash_is_noticed_by_check(broker: KafkaBroker) -> None:
    broker.check()
    assert broker.pid is not None
    os.kill(broker.pid, signal.SIGKILL)
    eventually_ended(broker)
    with pytest.raises(ProcessFailedError, match=r"kafka ended by SIGKILL"):
        broker.check()


def eventually_ended(broker: KafkaBroker) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            broker.check()
        except ProcessFailedError:
            return
        time.sleep(0.02)
