"""Jobs and dead letters on their way to Kafka: delivered, cut to fit, or said to be undelivered."""

from __future__ import annotations

from typing import cast

import pytest
from confluent_kafka import KafkaError, Producer
from tests.rigs.examples import retrieval
from tests.rigs.scripted_producer import ScriptedProducer

from ragwheel.backends.publish import Publisher
from ragwheel.intake.outlet import KafkaOutlet, job_message, letter_message
from ragwheel.intake.prepare import reject
from ragwheel.intake.sampling import SamplingPolicy, job_of
from ragwheel.schemas import deadletters
from ragwheel.schemas.errors import UnavailableError
from ragwheel.schemas.events import Candidate, GradingJob
from ragwheel.schemas.limits import MAX_EVENT_BYTES
from ragwheel.schemas.settings import KafkaSettings
from ragwheel.schemas.wire import Received


def outlet(producer: ScriptedProducer) -> KafkaOutlet:
    settings = KafkaSettings(topic_prefix="t.")
    return KafkaOutlet(Publisher(settings, open_producer=lambda: cast(Producer, producer)))


def job(text: str) -> GradingJob:
    many = tuple(Candidate(chunk_id=f"c{n}", rank=n, score=1, text=text + str(n)) for n in (1, 2))
    made = job_of(retrieval(candidates=many), SamplingPolicy(1.0))
    assert made is not None
    return made


LETTER = reject(Received("queries", 0, 4, b"k", b"x" * 64), "oversize", "why").letter
assert LETTER is not None


def test_messages_go_to_their_topics_with_keys_and_headers() -> None:
    assert LETTER is not None
    producer = ScriptedProducer()
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
    producer = ScriptedProducer(limit=20)
    outlet(producer).deliver([letter_message(LETTER)])
    ((_, key, value, headers),) = producer.sent
    assert (key, value) == (b"k", b"x" * 16)
    assert b"cut to 16 of 32 bytes" in headers["ragwheel.deadletter.detail"]


def test_a_dead_letter_that_fits_in_no_size_is_kept_and_told() -> None:
    assert LETTER is not None
    with pytest.raises(UnavailableError, match=r"t\.deadletters.*too large"):
        outlet(ScriptedProducer(limit=-1)).deliver([letter_message(LETTER)])


def test_an_undelivered_message_is_said_to_be_so() -> None:
    producer = ScriptedProducer()
    producer.faults = [KafkaError(KafkaError._MSG_TIMED_OUT)]
    with pytest.raises(UnavailableError, match=r"t\.grading"):
        outlet(producer).deliver([job_message(job("text"))])
