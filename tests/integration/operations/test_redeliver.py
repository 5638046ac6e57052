"""Letters that the broker refuses are told one by one; their neighbours are sent."""

from __future__ import annotations

import pytest
from tests.rigs.mock_kafka import MockKafka

from ragwheel.operations.redeliver import Replay, send
from ragwheel.schemas import deadletters
from ragwheel.schemas.limits import MAX_MESSAGE_BYTES
from ragwheel.schemas.settings import KafkaSettings

pytestmark = pytest.mark.integration


def replay(offset: int, value: bytes, problem: str = "") -> Replay:
    letter = deadletters.dead_letter(
        topic="queries", partition=0, offset=offset, key=b"k", payload=value,
        reason="invalid_field", detail="", timestamp_ms=0,
    )  # fmt: skip
    return Replay(letter, b"k", value, problem)


def test_what_the_broker_refuses_has_a_problem_and_the_rest_is_there() -> None:
    asked = [
        replay(0, b"good"),
        replay(1, b"x" * (MAX_MESSAGE_BYTES + 1)),
        replay(2, b"known to be bad", "the fix failed"),
        replay(3, b"good too"),
    ]
    with MockKafka("t.queries") as broker:
        settings = KafkaSettings(kafka_bootstrap_servers=broker.servers, topic_prefix="t.")
        done = send(settings, asked)
        assert [value for _, value in broker.read("t.queries")] == [b"good", b"good too"]
    assert [each.letter for each in done] == [each.letter for each in asked]
    first, large, bad, last = (each.problem for each in done)
    assert (first, bad, last) == ("", "the fix failed", "")
    assert large.startswith("Kafka: ")
    assert "too large" in large
