"""When a cycle runs, what is remembered, and what a failure leaves behind."""

from __future__ import annotations

from pathlib import Path
from threading import Event
from typing import cast

import pytest
from tests.rigs.trainer_world import NOON, World

from ragwheel.backends.telemetry import Telemetry
from ragwheel.measuring.intervals import Interval
from ragwheel.models.registry import ModelRegistry
from ragwheel.models.vectors import VectorCache
from ragwheel.schemas import metrics
from ragwheel.schemas.errors import UnavailableError
from ragwheel.schemas.settings import TrainerSettings
from ragwheel.trainers.cycle import CycleResult, NotEnoughDataError, Parts
from ragwheel.trainers.data.examples import build_snapshot
from ragwheel.trainers.proof.evaluation import Figure
from ragwheel.trainers.proof.gate import Verdict
from ragwheel.trainers.proof.judging import Judge
from ragwheel.trainers.scheduler import CycleStoppedError, Scheduler


class Labels(World):
    """A store of which only the number of answered queries matters."""

    def __init__(self, answered: int) -> None:
        super().__init__({}, [], {}, [])
        self.answered = answered

    def count_answered(self) -> int:
        return self.answered


RESULT = CycleResult(
    model=None,  # type: ignore[arg-type] # the scheduler does not look at it
    verdict=Verdict("promoted", "proven", 0.1, 0.05, 300),
    event=None,  # type: ignore[arg-type]
    snapshot=build_snapshot([], [], gate_share=0.2, known_chunks=()),
    figures=(
        Figure("recall", 1, "*", "delta", Interval(0.1, 0.05, 0.15), 300),
        Figure("recall", 10, "code", "candidate", Interval(0.7, 0.6, 0.8), 120),
    ),
    shifts=(),
    gate_queries=320,
    stage_seconds={"train": 12.5},
)


class Rig:
    """A scheduler whose cycle is a counter."""

    def __init__(self, folder: Path, answered: int, error: Exception | None = None) -> None:
        self.store = Labels(answered)
        self.error = error
        self.cycles = 0
        self.stop = Event()
        self.telemetry = Telemetry()
        self.settings = TrainerSettings(
            model_dir=folder, train_min_queries=100, train_interval_s=0.01, base_model="base"
        )
        parts = Parts(
            store=self.store,
            judge=cast(Judge, None),
            registry=ModelRegistry(folder),
            cache=VectorCache(folder),
            publish=lambda event: None,
            now=lambda: NOON,
        )
        self.scheduler = Scheduler(parts, self.settings, self.telemetry, run=self._run)

    def _run(self, parts: Parts, settings: TrainerSettings) -> CycleResult:
        self.cycles += 1
        if self.cycles >= 3:
            self.stop.set()
        if self.error is not None:
            raise self.error
        return RESULT


def test_nothing_happens_below_the_threshold(tmp_path: Path) -> None:
    rig = Rig(tmp_path, answered=99)
    assert rig.scheduler.check() is None
    assert rig.cycles == 0
    assert rig.telemetry.value(metrics.TRAIN_QUERIES) == 99
    assert rig.telemetry.value(metrics.TRAIN_THRESHOLD) == 100


def test_a_cycle_runs_at_the_threshold_and_then_needs_as_many_new_queries(tmp_path: Path) -> None:
    rig = Rig(tmp_path, answered=100)
    assert rig.scheduler.check() is RESULT
    assert rig.scheduler.check() is None
    rig.store.answered = 199
    assert rig.scheduler.check() is None
    rig.store.answered = 200
    assert rig.scheduler.check() is RESULT


def test_a_restart_does_not_train_on_the_same_data_again(tmp_path: Path) -> None:
    Rig(tmp_path, answered=150).scheduler.check()
    assert Rig(tmp_path, answered=150).scheduler.check() is None


def test_a_damaged_memory_trains_again_rather_than_never(tmp_path: Path) -> None:
    Rig(tmp_path, answered=150).scheduler.check()
    (tmp_path / "scheduler.json").write_text("{")
    assert Rig(tmp_path, answered=150).scheduler.check() is RESULT


def test_training_on_demand_ignores_the_threshold(tmp_path: Path) -> None:
    rig = Rig(tmp_path, answered=5)
    assert rig.scheduler.train() is RESULT


@pytest.mark.parametrize("error", [UnavailableError("gone"), RuntimeError("a bug")])
def test_a_failed_cycle_is_counted_and_tried_again(tmp_path: Path, error: Exception) -> None:
    rig = Rig(tmp_path, answered=100, error=error)
    rig.scheduler.loop(rig.stop)
    assert rig.cycles == 3
    assert rig.telemetry.value(metrics.TRAIN_CYCLES, verdict="failed") == 3


@pytest.mark.parametrize("error", [NotEnoughDataError("more"), CycleStoppedError("stopped")])
def test_a_cycle_that_could_not_be_is_no_failure(tmp_path: Path, error: Exception) -> None:
    rig = Rig(tmp_path, answered=100, error=error)
    rig.scheduler.loop(rig.stop)
    assert rig.telemetry.value(metrics.TRAIN_CYCLES, verdict="failed") == 0


def test_the_result_is_on_the_metrics_page(tmp_path: Path) -> None:
    rig = Rig(tmp_path, answered=100)
    rig.telemetry.set(
        metrics.QUALITY, 1, metric="recall", k="10", segment="gone", system="candidate"
    )
    rig.scheduler.check()
    value = rig.telemetry.value
    about = {"metric": "recall", "k": "10", "segment": "code", "system": "candidate"}
    assert value(metrics.QUALITY, **about) == 0.7
    assert value(metrics.QUALITY_LOW, **about) == 0.6
    assert value(metrics.QUALITY_HIGH, **about) == 0.8
    assert value(metrics.QUALITY, **{**about, "segment": "gone"}) == 0
    assert value(metrics.GATE_QUERIES, segment="*") == 300
    assert value(metrics.TRAIN_STAGE_SECONDS, stage="train") == 12.5
    assert value(metrics.TRAIN_CYCLES, verdict="promoted") == 1
    assert value(metrics.SERVING_MODEL, model_id="base", base_model="base") == 1


def test_a_restart_shows_what_the_last_gate_measured(tmp_path: Path) -> None:
    rig = Rig(tmp_path, answered=0)
    rig.store.last_figures = lambda: list(RESULT.figures)  # type: ignore[method-assign]
    rig.scheduler.show_last()
    labels = {"metric": "recall", "k": "10", "segment": "code", "system": "candidate"}
    assert rig.telemetry.value(metrics.QUALITY, **labels) == 0.7
    assert rig.telemetry.value(metrics.QUALITY_LOW, **labels) == 0.6
    assert rig.telemetry.value(metrics.GATE_QUERIES, segment="*") == 300
