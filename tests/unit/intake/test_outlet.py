"""Jobs and dead letters on their way to Kafka: delivered, cut to fit, or said to be undelivered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest
from confluent_kafka import KafkaError, KafkaException, Producer
from tests.examples import retrieval

from ragwheel.intake.outlet import KafkaOutlet, job_message, letter_message
from ragwheel.intake.prepare import reject
from ragwheel.intake.sampling import SamplingPolicy, job_of
from ragwheel.schemas import deadletters
from ragwheel.schemas.errors import UnavailableError
from ragwheel.schemas.events import Candidate, GradingJob
from ragwheel.schemas.limits import MAX_EVENT_BYTES
from ragwheel.schemas.wire import Received


class FakeProducer:
    """A broker with a size limit that fails on request."""

    def __init__(self, limit: int = 1_000_000) -> None:
        self.limit = limit
        self.sent: list[tuple[str, Any, Any, dict[str, bytes]]] = []
        self.faults: list[KafkaError] = []
        self.full = 0
        self.slow = 0

    def produce(
        self, topic: str, *, value: Any, key: Any, headers: Any, on_delivery: Callable[..., None]
    ) -> None:
        if self.full:
            self.full -= 1
            raise BufferError
        if len(value or b"") > self.limit:
            raise KafkaException(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE))
        if self.faults:
            on_delivery(self.faults.pop(0), None)
            return
        self.sent.append((topic, key, value, dict(headers)))
        on_delivery(None, None)

    def poll(self, _: float) -> int:
        return 0

    def flush(self, _: float) -> int:
        self.slow -= 1
        return max(self.slow + 1, 0)


def outlet(producer: FakeProducer, alive: list[int] | None = None) -> KafkaOutlet:
    ticks = alive if alive is not None else []
    return KafkaOutlet(
        lambda: cast(Producer, producer), lambda topic: f"t.{topic}", lambda: ticks.append(1)
    )


def job(text: str) -> GradingJob:
    many = tuple(Candidate(chunk_id=f"c{n}", rank=n, score=1, text=text + str(n)) for n in (1, 2))
    made = job_of(retrieval(candidates=many), SamplingPolicy(1.0))
    assert made is not None
    return made


LETTER = reject(Received("queries", 0, 4, b"k", b"x" * 64), "oversize", "why").letter
assert LETTER is not None


def test_messages_go_to_their_topics_with_keys_and_headers() -> None:
    assert LETTER is not None
    producer = FakeProducer()
    made = job("text")
    outlet(producer).deliver([job_message(made), letter_message(LETTER)])
    first, second = producer.sent
    assert (first[0], first[1]) == ("t.grading", made.query_hash.encode())
    assert second == ("t.deadletters", b"k", b"x" * 64, dict(deadletters.to_headers(LETTER)))


def test_a_job_too_large_to_be_read_travels_without_its_texts() -> None:
    large = job_message(job("ü" * 60_000))
    assert len(large.value or b"") < MAX_EVENT_BYTES
    huge = job("x" * 65_000).model_copy(update={"candidates": job("ü" * 60_000).candidates * 10})
    bare = GradingJob.model_validate_json(job_message(huge).value or b"")
    assert [c.text for c in bare.candidates] == [None] * 20
    assert [c.chunk_hash for c in bare.candidates] == [c.chunk_hash for c in huge.candidates]


def test_a_dead_letter_is_halved_until_it_fits() -> None:
    assert LETTER is not None
    producer = FakeProducer(limit=20)
    outlet(producer).deliver([letter_message(LETTER)])
    ((_, key, value, headers),) = producer.sent
    assert (key, value) == (b"k", b"x" * 16)
    assert b"cut to 16 of 32 bytes" in headers["ragwheel.deadletter.detail"]


def test_an_undelivered_message_is_said_to_be_so() -> None:
    producer = FakeProducer()
    producer.faults = [KafkaError(KafkaError._MSG_TIMED_OUT)]
    with pytest.raises(UnavailableError, match=r"t\.grading"):
        outlet(producer).deliver([job_message(job("text"))])


def test_a_producer_that_failed_for_good_is_replaced() -> None:
    producers = [FakeProducer(), FakeProducer()]
    producers[0].faults = [KafkaError(KafkaError._FATAL, fatal=True)]
    opened = iter(producers)
    made = KafkaOutlet(lambda: cast(Producer, next(opened)), lambda t: t, lambda: None)
    with pytest.raises(UnavailableError):
        made.deliver([job_message(job("text"))])
    made.deliver([job_message(job("text"))])
    assert len(producers[1].sent) == 1


def test_waiting_for_the_broker_keeps_the_consumer_alive() -> None:
    producer, alive = FakeProducer(), list[int]()
    producer.full, producer.slow = 2, 3
    outlet(producer, alive).deliver([job_message(job("text"))])
    assert len(producer.sent) == 1
    assert len(alive) == 5
