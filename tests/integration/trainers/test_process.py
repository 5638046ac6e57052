"""The trainer as a process on a real broker and ClickHouse: it promotes, or says what is wrong."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.rigs.children import end, environment, module, spawn
from tests.rigs.trainer_world import World, make_world, save_base_model
from tests.unit.models.test_registry import add

from ragwheel.backends import kafka
from ragwheel.backends.clickhouse import connect
from ragwheel.backends.migrate import migrate
from ragwheel.models.registry import ModelRegistry
from ragwheel.schemas import identity, wire
from ragwheel.schemas.events import (
    ChunkEvent,
    GradingJob,
    JobCandidate,
    JobRole,
    Label,
    ModelEvent,
    Record,
)
from ragwheel.schemas.settings import ClickHouseSettings, KafkaSettings, TrainerSettings
from ragwheel.schemas.tables import rows_of
from ragwheel.schemas.topics import TOPICS, Position
from ragwheel.trainers.trainer import Trainer

pytestmark = pytest.mark.integration

DEADLINE_S = 120.0


@pytest.fixture(scope="module")
def base_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_base_model(tmp_path_factory.mktemp("base"), misunderstanding=1.3)


@pytest.fixture(scope="module")
def world(base_model: str) -> World:
    return make_world(base_model, questions=1_500)


class Wheel:
    """The rest of the system in one thread: intake's inserts and a judge that knows the truth."""

    def __init__(self, kafka_settings: KafkaSettings, clickhouse: ClickHouseSettings) -> None:
        self.client = connect(clickhouse, create_database=True)
        migrate(self.client, replicated=False)
        self._kafka = kafka_settings
        self.models: list[ModelEvent] = []
        self.judged = 0
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def land(self, records: list[Record]) -> None:
        tables: dict[str, tuple[tuple[str, ...], list[tuple[object, ...]]]] = {}
        for record in records:
            for table, row in rows_of(record, Position("queries", 0, 0)):
                tables.setdefault(table.name, (table.columns, []))[1].append(row)
        for name, (columns, rows) in tables.items():
            self.client.insert(name, rows, column_names=columns)

    def turn(self, world: World) -> None:
        """Answer jobs and collect verdicts in the background."""

        def work() -> None:
            consumer = kafka.consumer(self._kafka, "the rest of the wheel")
            consumer.subscribe(
                [kafka.physical(self._kafka, each) for each in ("grading", "models")]
            )
            while not self._stop.is_set():
                answers: list[Record] = []
                for message in consumer.consume(100, timeout=0.2):
                    assert message.error() is None
                    name = str(message.topic()).removeprefix(self._kafka.topic_prefix)
                    record = wire.decode(TOPICS[name], message.key(), message.value())  # type: ignore[index]
                    if isinstance(record, GradingJob):
                        self.judged += 1
                        answers += [record, *labels_of(record, world, "judge@1")]
                    elif isinstance(record, ModelEvent):
                        self.models.append(record)
                self.land(answers)
            consumer.close()

        self._thread = threading.Thread(target=work)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(30)
        self.client.close()


def labels_of(job: GradingJob, world: World, grader: str) -> list[Label]:
    return [
        Label(
            label_id=identity.label_id(job.query_hash, each.chunk_hash, "r1", grader, job.role),
            job_id=job.job_id, role=job.role, query_id=job.query_id, query=job.query,
            query_hash=job.query_hash, segment=job.segment, chunk_hash=each.chunk_hash,
            status="graded", grade=world.truth(job.query_hash, each.chunk_hash),  # type: ignore[arg-type]
            grader_id=grader, model=grader, rubric_version="r1", prompt_hash="p",
            stratum=job.stratum, inclusion_probability=job.inclusion_probability,
            ts=job.ts, graded_at=job.ts,
        )
        for each in job.candidates
    ]  # fmt: skip


def traffic(world: World) -> list[Record]:
    """What intake and the labeling grader landed before the trainer starts."""
    now = world.questions[0].ts
    records: list[Record] = [
        ChunkEvent(chunk_id=each, text=text, ts=now, index_version="v1")
        for each, text in world.chunks.items()
    ]
    role: JobRole = "label"
    for question in world.questions:
        job = GradingJob(
            job_id=identity.job_id(question.query_hash, role), role=role,
            query_id=question.query_id, query=question.query, query_hash=question.query_hash,
            segment=question.segment, ts=question.ts, stratum="all", inclusion_probability=1.0,
            candidates=tuple(JobCandidate(chunk_hash=each) for each in question.shown),
        )  # fmt: skip
        records += [job, *labels_of(job, world, "labeler@1")]
    return records


@pytest.fixture
def wheel(
    kafka_settings: KafkaSettings, clickhouse_settings: ClickHouseSettings
) -> Iterator[Wheel]:
    kafka.create_topics(kafka_settings)
    made = Wheel(kafka_settings, clickhouse_settings)
    yield made
    made.close()


@pytest.fixture
def settings(
    kafka_settings: KafkaSettings,
    clickhouse_settings: ClickHouseSettings,
    tmp_path: Path,
    base_model: str,
) -> TrainerSettings:
    return TrainerSettings(
        kafka_bootstrap_servers=kafka_settings.kafka_bootstrap_servers,
        topic_prefix=kafka_settings.topic_prefix,
        clickhouse_url=clickhouse_settings.clickhouse_url,
        base_model=base_model,
        model_dir=tmp_path / "models",
        vector_cache_dir=tmp_path / "vectors",
        metrics_port=-1,
        train_min_queries=500,
        train_interval_s=0.5,
        # The tiny model has one layer, which learns at the rate of its kind only over many passes.
        train_epochs=30,
        gate_share=0.3,
        judge_depth=10,
        judge_timeout_s=DEADLINE_S,
    )


def wait_until(condition: Callable[[], bool]) -> bool:
    """Whether it came true in time."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


@pytest.mark.slow
def test_the_process_trains_asks_the_judge_and_publishes_its_verdict(
    wheel: Wheel, settings: TrainerSettings, world: World, tmp_path: Path
) -> None:
    wheel.land(traffic(world))
    wheel.turn(world)
    log = tmp_path / "trainer.log"
    process = spawn(
        module("ragwheel.trainers"), log, {**environment(settings), "OMP_NUM_THREADS": "1"}
    )
    try:
        ended = wait_until(lambda: bool(wheel.models) or process.poll() is not None)
        assert ended, log.read_text()
        process.send_signal(signal.SIGTERM)
        status = process.wait(30)
    finally:
        end(process)
    text = log.read_text()
    assert status == 0, text
    [event] = wheel.models
    registry = ModelRegistry(settings.model_dir)
    assert event.model_id in registry.ids()
    registry.verify(event.model_id)
    assert wheel.judged > 300
    assert event.labels == sum(len(question.shown) for question in world.questions)
    assert {m.system for m in event.metrics} >= {"incumbent", "candidate", "delta", "bm25"}
    current = registry.current()
    assert (event.action == "promoted") == (current is not None)
    assert event.action in ("promoted", "shadow"), event.reason
    assert "Traceback" not in text


def test_a_rollback_reaches_everybody(
    wheel: Wheel, settings: TrainerSettings, world: World, tmp_path: Path
) -> None:
    wheel.turn(world)
    with Trainer(settings) as trainer:
        model_id = add(trainer.registry)
        trainer.registry.promote(model_id, "for the test", world.questions[0].ts, measured=None)
        result = trainer.roll_back("it was slow")
        assert (result.rolled_back, result.serving) == (model_id, settings.base_model)
        assert trainer.promotions() == ()
    assert wait_until(lambda: bool(wheel.models))
    [event] = wheel.models
    assert (event.action, event.model_id, event.reason) == ("rolled_back", model_id, "it was slow")


@pytest.mark.parametrize(
    ("change", "status", "names"),
    [
        ({"RAGWHEEL_BASE_MODEL": "/nowhere/model"}, 78, "RAGWHEEL_BASE_MODEL"),
        ({"RAGWHEEL_TRAIN_EPOCHS": "many"}, 78, "RAGWHEEL_TRAIN_EPOCHS"),
        ({"RAGWHEEL_CLICKHOUSE_URL": "http://127.0.0.1:9/x"}, 69, "RAGWHEEL_CLICKHOUSE_URL"),
    ],
    ids=["base model", "number", "clickhouse"],
)
def test_a_wrong_setting_ends_the_process_with_one_line_that_names_it(
    settings: TrainerSettings, wheel: Wheel, change: dict[str, str], status: int, names: str
) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "ragwheel.trainers"],
        env={**environment(settings), **change},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert ended.returncode == status, ended.stderr
    assert len([line for line in ended.stderr.splitlines() if names in line]) == 1
    assert "Traceback" not in ended.stderr
