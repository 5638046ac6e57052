"""A grader process, the test LLM and a real broker, for tests of what survives what."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient
from tests.rigs.children import end, module, spawn

from ragwheel.backends import kafka
from ragwheel.backends.positions import Broker
from ragwheel.schemas import identity, wire
from ragwheel.schemas.events import GradingJob, JobCandidate, Label
from ragwheel.schemas.settings import KafkaSettings
from ragwheel.schemas.topics import TOPICS, TopicName
from ragwheel.stack.llm import OverlapGrader

LABELER, JUDGE = "stand-in-grader", "stand-in-judge"
TS = datetime(2026, 11, 23, 12, tzinfo=UTC)
#: A dead member keeps its partitions for a session; the broker allows no shorter one.
SESSION_S = 6
_WORDS = ("red", "green", "blue", "fast", "slow", "read", "write", "open", "close", "file", "list",
          "map", "tree", "node")  # fmt: skip


def text_of(number: int) -> str:
    """Chunk texts that share words with queries to every degree."""
    return " ".join(_WORDS[(number * step + step) % len(_WORDS)] for step in range(1, 7))


def job(number: int, chunks: int = 20, role: str = "label", *, texts: bool = True) -> GradingJob:
    """Job `number`: a query of its own and `chunks` chunks that jobs share."""
    query = f"{_WORDS[number % 14]} {_WORDS[number // 14 % 14]} {_WORDS[number // 7 % 14]} {number}"
    listed = [f"{text_of(number + each)} {each}" for each in range(chunks)]
    return GradingJob.model_validate(
        {
            "job_id": identity.job_id(query, role),
            "role": role,
            "query_id": f"q-{number}",
            "query": query,
            "query_hash": identity.query_hash(query),
            "ts": TS,
            "stratum": "default",
            "inclusion_probability": 0.5,
            "candidates": [
                JobCandidate(chunk_hash=identity.content_hash(text), text=text if texts else None)
                for text in listed
            ],
        }
    )


def pairs(jobs: Iterable[GradingJob]) -> dict[tuple[str, str], int]:
    """(query hash, chunk hash) → the grade that the test LLM finds right."""
    brain = OverlapGrader()
    return {
        (each.query_hash, candidate.chunk_hash): brain.grade(
            LABELER, each.query, candidate.text or ""
        )
        for each in jobs
        for candidate in each.candidates
    }


def wait_until(condition: Callable[[], bool], what: str, timeout_s: float = 60.0) -> None:
    """Poll with a deadline."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {what}"
        time.sleep(0.05)


class TestLlm:
    """`python -m ragwheel.stack.llm` and its controls."""

    __test__ = False  # not a test class, whatever its name

    def __init__(self, port: int) -> None:
        self.address = f"http://127.0.0.1:{port}"

    def configure(self, **faults: Any) -> None:
        """See `ragwheel.stack.llm.chat`."""
        self._call("PUT", "/faults", faults)

    def script(self, *kinds: str, seconds: float = 1.0) -> None:
        """The next calls suffer these faults, one each."""
        self.configure(script=[{"kind": kind, "seconds": seconds} for kind in kinds])

    def stall_after(self, calls: int, seconds: float = 1.5) -> None:
        """Answer so many calls at once and each later one after `seconds`.

        Work is then under way for as long as a test needs, on however slow a machine; less than
        the time that the grader waits for an answer.
        """
        at_once = [{"kind": "slow", "seconds": 0, "count": calls}]
        later = {"kind": "slow", "rate": 1.0, "seconds": seconds}
        self.configure(script=at_once, rates=[later])

    def ledger(self) -> dict[str, Any]:
        """What the server was asked."""
        found: dict[str, Any] = self._call("GET", "/tally")
        return found

    def _call(self, method: str, path: str, body: object = None) -> Any:
        data = None if body is None else orjson.dumps(body)
        request = urllib.request.Request(self.address + path, data, method=method)  # noqa: S310 - ours
        with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310 - loopback
            return orjson.loads(response.read())


@contextmanager
def running_llm(folder: Path) -> Iterator[TestLlm]:
    """Start the test LLM on a free port."""
    port_file = folder / "llm-port"
    command = module("ragwheel.stack.llm", "--port-file", str(port_file))
    process = spawn(command, folder / "llm.log")
    try:
        wait_until(port_file.exists, "the test LLM listens")
        yield TestLlm(int(port_file.read_text()))
    finally:
        end(process)


@dataclass
class GraderProcess:
    """`python -m ragwheel.grading`, startable again after its end."""

    environment: Mapping[str, str]
    log_path: Path
    process: subprocess.Popen[bytes] | None = field(default=None)

    def start(self) -> None:
        """Start; does not wait until it is ready."""
        environment = {**os.environ, **self.environment}
        self.process = spawn(module("ragwheel.grading"), self.log_path, environment)

    def kill(self) -> None:
        """SIGKILL."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)

    def terminate(self) -> int:
        """SIGTERM; the exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def end(self) -> None:
        """Leave nothing behind."""
        if self.process is not None:
            if self.process.poll() is None:
                self.kill()
            end(self.process)

    @property
    def log(self) -> str:
        """All that it said."""
        return self.log_path.read_text() if self.log_path.exists() else ""


@dataclass
class Rig:
    """Everything of one test: topics of its own, the LLM, graders."""

    settings: KafkaSettings
    llm: TestLlm
    folder: Path
    extra: dict[str, str] = field(default_factory=dict)
    graders: list[GraderProcess] = field(default_factory=list)

    def grader(self, **settings: str) -> GraderProcess:
        """A grader of this rig, not started."""
        environment = {
            "RAGWHEEL_KAFKA_BOOTSTRAP_SERVERS": self.settings.kafka_bootstrap_servers,
            "RAGWHEEL_TOPIC_PREFIX": self.settings.topic_prefix,
            "RAGWHEEL_GRADER_GROUP": self.group,
            "RAGWHEEL_LLM_BASE_URL": f"{self.llm.address}/v1",
            "RAGWHEEL_LLM_API_KEY": "local",
            "RAGWHEEL_LLM_MODEL": LABELER,
            "RAGWHEEL_JUDGE_MODEL": JUDGE,
            "RAGWHEEL_LLM_TIMEOUT_S": "2",
            "RAGWHEEL_LLM_CACHE_DIR": str(self.folder / "llm"),
            "RAGWHEEL_SESSION_TIMEOUT_S": str(SESSION_S),
            # Nothing listens there: the grader must do without, except where a test says otherwise.
            "RAGWHEEL_CLICKHOUSE_URL": "http://default:@127.0.0.1:1/ragwheel",
            **self.extra,
            **settings,
        }
        made = GraderProcess(environment, self.folder / f"grader{len(self.graders)}.log")
        self.graders.append(made)
        return made

    @property
    def group(self) -> str:
        """Consumer group of the graders."""
        return f"{self.settings.topic_prefix}grader"

    def send(self, messages: Iterable[GradingJob | tuple[bytes | None, bytes | None]]) -> None:
        """Produce jobs, or raw (key, value) pairs, to the grading topic."""
        producer = kafka.producer(self.settings)
        topic = TOPICS["grading"]
        for each in messages:
            if isinstance(each, GradingJob):
                key: bytes | None = wire.key_of(topic, each)
                value: bytes | None = wire.encode(each)
            else:
                key, value = each
            producer.produce(kafka.physical(self.settings, "grading"), key=key, value=value)
        assert producer.flush(30) == 0

    @contextmanager
    def reading(self, name: TopicName) -> Iterator[Reader]:
        """Read a topic from its beginning."""
        reader = Reader(self.settings, name)
        try:
            yield reader
        finally:
            reader.close()

    def lag(self) -> int:
        """Messages of the grading topic that the group has not committed."""
        broker = Broker(self.settings)
        try:
            places = [place for place in broker.partitions() if place[0] == "grading"]
            committed = broker.committed(self.group, places)
            ends = broker.ends(places)
        finally:
            broker.close()
        return sum(end - committed.get(place, 0) for place, (_, end) in ends.items())

    def members(self) -> set[str]:
        """Ids of the group's members; another id is another join."""
        admin = AdminClient(kafka.connection(self.settings))
        group = admin.describe_consumer_groups([self.group])[self.group].result(10)
        return {member.member_id for member in group.members}


class Reader:
    """Collects all messages of a topic."""

    def __init__(self, settings: KafkaSettings, name: TopicName) -> None:
        self.messages: list[Any] = []
        topic = kafka.physical(settings, name)
        self._consumer = kafka.consumer(settings, f"{topic}.reader")
        partitions = self._consumer.list_topics(topic, 10).topics[topic].partitions
        self._consumer.assign([TopicPartition(topic, each, 0) for each in partitions])

    def poll(self) -> None:
        """Take what is there."""
        for message in self._consumer.consume(10_000, 0.2):
            assert message.error() is None, message.error()
            self.messages.append(message)

    def labels(self) -> list[Label]:
        """Everything so far, as labels."""
        return [Label.model_validate_json(each.value()) for each in self.messages]

    def message_count(self) -> int:
        """Messages so far, copies included."""
        self.poll()
        return len(self.messages)

    def label_count(self) -> int:
        """Distinct labels so far."""
        self.poll()
        return len({orjson.loads(each.value())["label_id"] for each in self.messages})

    def close(self) -> None:
        """Leave."""
        self._consumer.close()
