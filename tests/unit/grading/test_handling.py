"""One message: labels, or a dead letter; always durable, never an exception."""

import asyncio
from collections.abc import Sequence

import orjson
from tests.unit.grading.scripted import NOW, job

from ragwheel.backends.publish import Outgoing
from ragwheel.grading.handling import GradingWorker
from ragwheel.schemas import deadletters, identity, wire
from ragwheel.schemas.events import GradingJob, Label
from ragwheel.schemas.limits import MAX_MESSAGE_BYTES
from ragwheel.schemas.tombstones import Tombstones, tombstone_hash
from ragwheel.schemas.topics import TOPICS
from ragwheel.schemas.wire import Received


class Published:
    def __init__(self) -> None:
        self.messages: list[Outgoing] = []

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        self.messages.extend(messages)


class EchoGrader:
    """Labels every chunk with a fixed grade under its own name."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def grade(self, job: GradingJob) -> list[Label]:
        return [
            Label(
                label_id=identity.label_id(
                    job.query_hash, each.chunk_hash, "r", self.name, job.role
                ),
                job_id=job.job_id,
                role=job.role,
                query_id=job.query_id,
                query=job.query,
                query_hash=job.query_hash,
                chunk_hash=each.chunk_hash,
                status="graded",
                grade=2,
                grader_id=self.name,
                model=self.name,
                rubric_version="r",
                prompt_hash="p",
                stratum=job.stratum,
                inclusion_probability=job.inclusion_probability,
                ts=job.ts,
                graded_at=NOW,
            )
            for each in job.candidates
        ]


class BrokenGrader:
    async def grade(self, job: GradingJob) -> list[Label]:
        raise ZeroDivisionError("a bug")


def _delivery(value: bytes | None, key: bytes | None = b"k") -> Received:
    return Received("grading", 3, 41, key, value, timestamp_ms=1_700_000_000_000)


def _of(asked: GradingJob) -> Received:
    return _delivery(wire.encode(asked), asked.query_hash.encode())


def _handle(message: Received, **graders: object) -> list[Outgoing]:
    published = Published()
    chosen = {"label": EchoGrader("labeler"), "judge": EchoGrader("judge"), **graders}
    worker = GradingWorker(chosen, published)  # type: ignore[arg-type] # fakes
    asyncio.run(worker.handle(message))
    return published.messages


def test_a_job_becomes_labels_under_the_key_of_its_query() -> None:
    asked = job(chunks=range(5))
    messages = _handle(_of(asked))
    assert {message.topic for message in messages} == {"labels"}
    labels = [wire.decode(TOPICS["labels"], each.key, each.value) for each in messages]
    assert [label.chunk_hash for label in labels if isinstance(label, Label)] == [
        each.chunk_hash for each in asked.candidates
    ]


def test_the_role_decides_who_grades() -> None:
    asked = job(chunks=[1]).model_copy(update={"role": "judge"})
    (message,) = _handle(_of(asked))
    assert orjson.loads(message.value or b"")["grader_id"] == "judge"


def test_an_undecodable_job_is_preserved_with_its_reason() -> None:
    (message,) = _handle(_delivery(b'{"event": "job", "oops'))
    assert message.topic == "deadletters"
    letter = deadletters.from_message(
        message.key, message.value, message.headers, position=(0, 0), timestamp_ms=0
    )
    assert (letter.topic, letter.partition, letter.offset) == ("grading", 3, 41)
    assert letter.reason == "malformed_json"
    assert (letter.key, letter.payload) == (b"k", b'{"event": "job", "oops')
    assert letter.dead_letter_id == identity.dead_letter_id("grading", 3, 41, 1_700_000_000_000)


def test_each_kind_of_poison_has_its_reason() -> None:
    good = orjson.loads(wire.encode(job(chunks=[1])))
    key = good["query_hash"].encode()
    poisons = {
        "malformed_json": _delivery(None),
        "not_utf8": _delivery(b"\xff\xfe"),
        "unknown_event": _delivery(orjson.dumps({**good, "event": "query"}), key),
        "unknown_schema_version": _delivery(orjson.dumps({**good, "schema_version": 9}), key),
        "invalid_field": _delivery(orjson.dumps({**good, "role": "critic"}), key),
        "missing_key": _delivery(orjson.dumps(good), None),
        "key_mismatch": _delivery(orjson.dumps(good), b"other"),
    }
    for reason, poison in poisons.items():
        (message,) = _handle(poison)
        assert dict(message.headers)["ragwheel.deadletter.reason"] == reason.encode()
        assert message.value == poison.value


def test_a_job_that_breaks_the_grader_is_dead_lettered_and_not_raised() -> None:
    asked = job(chunks=[1])
    (message,) = _handle(_of(asked), label=BrokenGrader())
    headers = dict(message.headers)
    assert headers["ragwheel.deadletter.reason"] == b"processing_failed"
    assert headers["ragwheel.deadletter.detail"] == b"ZeroDivisionError: a bug"
    assert message.value == wire.encode(asked)


def test_a_message_too_large_to_preserve_is_recorded_by_its_position() -> None:
    (message,) = _handle(_delivery(b"x" * MAX_MESSAGE_BYTES))
    headers = dict(message.headers)
    assert message.value is None
    assert headers["ragwheel.deadletter.reason"] == b"oversize"
    assert headers["ragwheel.deadletter.offset"] == b"41"


async def test_a_job_of_a_forgotten_query_is_acknowledged_and_not_graded() -> None:
    asked = job()
    tombstones = Tombstones()

    async def forgotten() -> Tombstones:
        return tombstones

    results = Published()
    worker = GradingWorker({"label": EchoGrader("a"), "judge": EchoGrader("b")}, results, forgotten)
    gone = asked.candidates[0].chunk_hash
    tombstones.add("chunk", tombstone_hash("chunk", gone), NOW)
    await worker.handle(_of(asked))
    assert len(results.messages) == len(asked.candidates) - 1
    tombstones.add("query", tombstone_hash("query", asked.query_id), NOW)
    await worker.handle(_of(asked))
    assert len(results.messages) == len(asked.candidates) - 1
