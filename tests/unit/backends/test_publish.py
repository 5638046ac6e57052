"""The durable send: it waits for every answer, says what failed, and survives a dead producer."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import cast

import pytest
from confluent_kafka import KafkaError, KafkaException, Producer
from tests.rigs.examples import query
from tests.rigs.scripted_producer import FATAL, ScriptedProducer

from ragwheel.backends.publish import AsyncPublisher, Outgoing, Publisher
from ragwheel.schemas import wire
from ragwheel.schemas.errors import UnavailableError
from ragwheel.schemas.settings import KafkaSettings

SETTINGS = KafkaSettings(topic_prefix="t.", kafka_bootstrap_servers="broker:1")
TIMED_OUT = KafkaError(KafkaError._MSG_TIMED_OUT)
DEATHS = [
    KafkaException(FATAL),
    SystemError("a callback met the pending exception"),
]


def publisher(*producers: ScriptedProducer, alive: list[int] | None = None) -> Publisher:
    """A publisher that opens these producers one after the other."""
    opened: Iterator[ScriptedProducer] = iter(producers)
    ticks = alive if alive is not None else []
    return Publisher(
        SETTINGS,
        timeout_s=0.0,
        while_waiting=lambda: ticks.append(1),
        open_producer=lambda: cast(Producer, next(opened)),
    )


def messages(count: int) -> list[Outgoing]:
    return [Outgoing("queries", b"k", str(number).encode()) for number in range(count)]


def numbers(count: int) -> list[bytes]:
    return [each.value or b"" for each in messages(count)]


def test_a_record_goes_to_its_physical_topic_under_the_key_of_the_registry() -> None:
    producer, record = ScriptedProducer(), query()
    publisher(producer).publish([Outgoing.of("queries", record)])
    assert producer.sent == [("t.queries", record.query_id.encode(), wire.encode(record), {})]


def test_headers_keys_and_values_travel_as_they_are() -> None:
    producer = ScriptedProducer()
    publisher(producer).publish([Outgoing("deadletters", None, None, [("why", b"\xff")])])
    assert producer.sent == [("t.deadletters", None, None, {"why": b"\xff"})]


def test_publishing_returns_when_every_message_was_confirmed_in_order() -> None:
    producer = ScriptedProducer(patient=True)
    publisher(producer).publish(messages(20))
    assert producer.values() == numbers(20)


def test_what_failed_is_returned_with_its_reason_and_the_rest_is_durable() -> None:
    producer = ScriptedProducer(limit=1)
    producer.faults = [TIMED_OUT]
    failures = publisher(producer).send_all(messages(11))
    assert [(each.value, error.code()) for each, error in failures] == [
        (b"0", KafkaError._MSG_TIMED_OUT),
        (b"10", KafkaError.MSG_SIZE_TOO_LARGE),
    ]
    assert producer.values() == numbers(10)[1:]


def test_an_error_names_topic_broker_reason_and_fix() -> None:
    producer = ScriptedProducer()
    producer.faults = [TIMED_OUT]
    with pytest.raises(
        UnavailableError,
        match=r"1 of .*t\.queries.*'broker:1' \(.*timed out\).*RAGWHEEL_KAFKA_BOOTSTRAP_SERVERS",
    ):
        publisher(producer).publish(messages(2))


def test_silence_is_a_failure_in_the_end() -> None:
    producer = ScriptedProducer(patient=True)
    producer.silent = True
    made = Publisher(SETTINGS, timeout_s=-5.0, open_producer=lambda: cast(Producer, producer))
    made.send(messages(1)[0], lambda _: None)
    assert made.flush() == 1
    assert [error.code() for _, error in made.send_all(messages(2))] == [KafkaError._TIMED_OUT] * 2


def test_each_message_is_answered_once_while_others_are_still_sent() -> None:
    producer = ScriptedProducer(patient=True)
    made, answers = publisher(producer), list[KafkaError | None]()
    for message in messages(3):
        made.send(message, answers.append)
    assert answers == [None] * 3
    assert made.flush() == 0


def test_waiting_for_room_and_for_answers_keeps_the_caller_alive() -> None:
    producer, alive = ScriptedProducer(), list[int]()
    producer.full, producer.slow = 2, 3
    made = Publisher(
        SETTINGS,
        while_waiting=lambda: alive.append(1),
        open_producer=lambda: cast(Producer, producer),
    )
    made.publish(messages(1))
    assert len(producer.sent) == 1
    assert len(alive) == 5


class StopError(Exception):
    """The caller shall end."""


def test_the_caller_may_end_the_wait() -> None:
    producer = ScriptedProducer()
    producer.slow = 3

    def stop() -> None:
        raise StopError

    made = Publisher(SETTINGS, while_waiting=stop, open_producer=lambda: cast(Producer, producer))
    with pytest.raises(StopError):
        made.publish(messages(1))


@pytest.mark.parametrize("death", DEATHS, ids=["fatal", "in a callback"])
def test_a_producer_that_died_is_told_and_replaced(death: Exception) -> None:
    first, second = ScriptedProducer(patient=True), ScriptedProducer()
    first.dies = death
    made = publisher(first, second)
    with pytest.raises(UnavailableError, match="'broker:1' failed for good"):
        made.publish(messages(2))
    made.publish(messages(2))
    assert second.values() == numbers(2)


@pytest.mark.parametrize("fatal", [FATAL, KafkaError(KafkaError.UNKNOWN, fatal=True)])
def test_a_fatal_answer_replaces_the_producer_too(fatal: KafkaError) -> None:
    first, second = ScriptedProducer(), ScriptedProducer()
    first.faults = [fatal]
    made = publisher(first, second)
    with pytest.raises(UnavailableError):
        made.publish(messages(1))
    made.publish(messages(1))
    assert len(second.sent) == 1


def test_closing_drops_what_is_unsent_and_says_so() -> None:
    producer, answers = ScriptedProducer(patient=True), list[KafkaError | None]()
    producer.silent = True
    made = publisher(producer)
    made.send(messages(1)[0], answers.append)
    made.close()
    assert [error and error.code() for error in answers] == [KafkaError._PURGE_QUEUE]
    assert producer.sent == []


def in_loop(producer: ScriptedProducer) -> AsyncPublisher:
    return AsyncPublisher(publisher(producer), retry_wait_s=0.0)


async def test_the_loop_goes_on_while_confirmations_are_awaited() -> None:
    producer = ScriptedProducer(patient=True)
    producer.silent = True
    with in_loop(producer) as made:
        publishing = asyncio.create_task(made.publish(messages(20)))
        await asyncio.sleep(0.1)
        assert not publishing.done()
        producer.silent = False
        await asyncio.wait_for(publishing, 5)
    assert producer.values() == numbers(20)


async def test_what_was_not_delivered_is_sent_again_and_only_that() -> None:
    producer = ScriptedProducer(patient=True)
    producer.faults = [TIMED_OUT] * 7
    with in_loop(producer) as made:
        await asyncio.wait_for(made.publish(messages(20)), 5)
    assert sorted(producer.values()) == sorted(numbers(20))


async def test_a_full_queue_is_waited_for_without_blocking_the_loop() -> None:
    producer = ScriptedProducer(patient=True)
    producer.full = 2
    with in_loop(producer) as made:
        await asyncio.wait_for(made.publish(messages(3)), 5)
    assert len(producer.sent) == 3


async def test_nothing_to_publish_returns_at_once() -> None:
    producer = ScriptedProducer()
    with in_loop(producer) as made:
        await asyncio.wait_for(made.publish([]), 1)
    assert producer.sent == []


async def test_a_message_that_no_retry_can_help_is_raised_and_not_repeated() -> None:
    refusal = pytest.raises(KafkaException, match="MSG_SIZE_TOO_LARGE")
    with in_loop(ScriptedProducer(limit=0)) as made, refusal:
        await asyncio.wait_for(made.publish(messages(1)), 5)


async def test_after_the_death_of_the_producer_the_answers_are_still_heard() -> None:
    producer = ScriptedProducer(patient=True)
    producer.dies = KafkaException(FATAL)
    with in_loop(producer) as made:
        await asyncio.wait_for(made.publish(messages(3)), 5)
    assert len(producer.sent) == 3
