"""Every topic has a reader, and every reader keeps its contract."""

from __future__ import annotations

import random

import pytest
from tests.rigs.examples import examples, message

from ragwheel.intake.readers import READERS
from ragwheel.schemas import deadletters
from ragwheel.schemas.errors import InvalidEventError
from ragwheel.schemas.events import DeadLetter
from ragwheel.schemas.topics import TOPICS, TopicName
from ragwheel.schemas.wire import Received

#: What `contracts.Reader` may raise.
ALLOWED = (InvalidEventError, ValueError, TypeError, ArithmeticError, RecursionError)


def valid_message(topic: TopicName) -> Received:
    """The example of a topic as it lies in Kafka."""
    record = examples()[topic]
    if not isinstance(record, DeadLetter):
        return message(topic, record)
    headers = tuple(deadletters.to_headers(record))
    return Received(topic, 0, 0, record.key, record.payload, headers, 1_000)


def noise(dice: random.Random, valid: Received) -> Received:
    """A message with some bytes of a valid one spoilt, or none of it left."""
    value = bytearray(valid.value or b"x")
    for _ in range(dice.randrange(1, 4)):
        value[dice.randrange(len(value))] = dice.randrange(256)
    cut = bytes(value[: dice.randrange(len(value) + 1)])
    return Received(
        valid.topic, 0, 1, dice.choice([valid.key, None, b"", b"\xff"]),
        dice.choice([bytes(value), cut, None]),
        dice.choice([(), valid.headers, (("ragwheel.deadletter.reason", b"\xff"), ("x", None))]),
        dice.choice([-1, 0, 2**62]),
    )  # fmt: skip


def test_every_topic_of_the_registry_is_read() -> None:
    assert set(READERS) == set(TOPICS)


@pytest.mark.parametrize("topic", READERS)
def test_a_valid_message_says_the_same_each_time(topic: TopicName) -> None:
    valid = valid_message(topic)
    assert list(READERS[topic](valid)) == list(READERS[topic](valid)) != []


@pytest.mark.parametrize("topic", READERS)
def test_whatever_the_bytes_a_reader_answers_or_raises_what_it_may(topic: TopicName) -> None:
    dice = random.Random(7)
    valid = valid_message(topic)
    refused = 0
    for _ in range(300):
        try:
            list(READERS[topic](noise(dice, valid)))
        except ALLOWED:
            refused += 1
    assert (refused > 200) == (topic != "deadletters")
