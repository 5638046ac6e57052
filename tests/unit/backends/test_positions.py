"""Asking for positions: a coordinator that moves is asked again, other errors are told."""

from __future__ import annotations

from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from ragwheel.backends import kafka
from ragwheel.backends.positions import Broker
from ragwheel.schemas.errors import UnavailableError
from ragwheel.schemas.settings import KafkaSettings
from ragwheel.schemas.topics import Partition


class FakeConsumer:
    """Knows one commit; raises what is scripted first."""

    def __init__(self, *errors: int) -> None:
        self.errors = list(errors)
        self.closed = False

    def committed(self, asked: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        if self.errors:
            raise KafkaException(KafkaError(self.errors.pop(0)))
        return [TopicPartition(each.topic, each.partition, 7 - each.partition) for each in asked]

    def close(self) -> None:
        self.closed = True


def ask(monkeypatch: pytest.MonkeyPatch, consumer: FakeConsumer) -> dict[Partition, int]:
    def opened(*_: Any) -> Any:
        return consumer

    monkeypatch.setattr(kafka, "consumer", opened)
    with Broker(KafkaSettings(kafka_bootstrap_servers="broker:1")) as broker:
        return broker.committed("group", [Partition("queries", 0), Partition("queries", 8)])


def test_a_moving_coordinator_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    consumer = FakeConsumer(
        KafkaError.NOT_COORDINATOR,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
    )
    # Partition 8 has no commit: its offset is negative.
    assert ask(monkeypatch, consumer) == {Partition("queries", 0): 7}
    assert consumer.closed


def test_any_other_error_is_told_with_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    consumer = FakeConsumer(KafkaError.GROUP_AUTHORIZATION_FAILED)
    with pytest.raises(UnavailableError, match=r"'broker:1'.*GROUP_AUTHORIZATION_FAILED"):
        ask(monkeypatch, consumer)
    assert consumer.closed
