"""When a cycle runs, what is remembered, and what a failure leaves behind."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import cast

import pytest
from pydantic import TypeAdapter
from tests.rigs.trainer_world import NOON, World, recipe
from tests.unit.models.test_registry import add

from ragwheel.backends.telemetry import Telemetry
from ragwheel.measuring.intervals import Interval
from ragwheel.models.registry import ModelRegistry
from ragwheel.models.vectors import VectorCache
from ragwheel.schemas import metrics
from ragwheel.schemas.errors import UnavailableError
from ragwheel.schemas.events import ModelEvent
from ragwheel.schemas.settings import TrainerSettings
from ragwheel.trainers.cycle import CycleResult
from ragwheel.trainers.data.records import Corpus
from ragwheel.trainers.data.snapshot import build_snapshot
from ragwheel.trainers.data.split import Sides
from ragwheel.trainers.evaluating import EVALUATION_FILE, LabelReport
from ragwheel.trainers.lanes.contracts import TrainingFailedError
from ragwheel.trainers.parts import Parts
from ragwheel.trainers.proof.evaluation import Figure
from ragwheel.trainers.proof.gate import Verdict
from ragwheel.trainers.proof.judging import Judge
from ragwheel.trainers.reading import NotEnoughDataError
from ragwheel.trainers.scheduler import CycleStoppedError, Scheduler
from ragwheel.trainers.settle import BusyError, Memory, Shadow, alone


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
    snapshot=build_snapshot([], Sides(), [], None, Corpus((), ()), recipe()),
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
        self.events: list[ModelEvent] = []
        self.telemetry = Telemetry()
        self.settings = TrainerSettings(
            model_dir=folder, train_min_queries=100, train_interval_s=0.01, base_model="base"
        )
        parts = Parts(
            store=self.store,
            judge=cast(Judge, None),
            registry=ModelRegistry(folder),
            cache=VectorCache(folder),
            publish=self.events.append,
            now=lambda: NOON,
        )
        self.evaluations = 0
        self.scheduler = Scheduler(
            parts, self.settings, self.telemetry, run=self._run, evaluate=self._evaluate
        )

    def _evaluate(self, parts: Parts, settings: TrainerSettings) -> LabelReport:
        self.evaluations += 1
        report = LabelReport(NOON, self.store.answered, 1, 1, "observed", (), {}, ())
        kept = settings.model_dir / EVALUATION_FILE
        kept.write_bytes(TypeAdapter(LabelReport).dump_json(report))
        return report

    def _run(self, parts: Parts, settings: TrainerSettings) -> CycleResult:
        self.cycles += 1
        if self.cycles >= 3:
            self.stop.set()
        if self.error is not None:
            raise self.error
        parts.settlement.remember(Memory(answered=parts.store.count_answered()))
        return RESULT


def test_nothing_happens_below_the_threshold(tmp_path: Path) -> None:
    rig = Rig(tmp_path, answered=99)
    assert rig.scheduler.check() is None
    assert rig.cycles == 0
    assert rig.telemetry.value(metrics.TRAIN_QUERIES) == 99
    assert rig.telemetry.value(metrics.TRAIN_THRESHOLD) == 100


def test_before_the_first_training_what_is_in_service_is_evaluated_at_each_doubling(
    tmp_path: Path,
) -> None:
    rig = Rig(tmp_path, answered=19)
    made = []
    for answered in (19, 20, 39, 40, 79, 99):
        rig.store.answered = answered
        assert rig.scheduler.check() is None
        made.append(rig.evaluations)
    assert made == [0, 1, 1, 2, 2, 3]
    rig.store.answered = 100
    assert rig.scheduler.check() is RESULT
    rig.store.answered = 190
    rig.scheduler.check()
    assert rig.evaluations == 3, "a gate has said more since"


def test_a_damaged_evaluation_is_made_again(tmp_path: Path) -> None:
    rig = Rig(tmp_path, answered=20)
    rig.scheduler.check()
    (tmp_path / EVALUATION_FILE).write_text("{")
    rig.scheduler.check()
    assert rig.evaluations == 2


def test_a_cycle_runs_at_the_threshold_and_then_at_a_doubling(tmp_path: Path) -> None:
    rig = Rig(tmp_path, answered=100)
    assert rig.scheduler.check() is RESULT
    assert rig.scheduler.check() is None
    rig.store.answered = 199
    assert rig.scheduler.check() is None
    rig.store.answered = 200
    assert rig.scheduler.check() is RESULT


def test_what_is_old_is_trained_again_when_anything_is_new(tmp_path: Path) -> None:
    rig = Rig(tmp_path, answered=101)
    eight_days_ago = NOON - timedelta(days=8)
    rig.scheduler.parts.settlement.remember(Memory(answered=100, at=eight_days_ago))
    assert rig.scheduler.progress().due
    never = rig.settings.model_copy(update={"train_max_age_days": 0.0})
    assert not replace(rig.scheduler, settings=never).progress().due


def test_an_alert_that_fires_is_asked_for_where_the_settings_name_a_prometheus(
    tmp_path: Path,
) -> None:
    rig, asked = Rig(tmp_path, answered=101), list[str]()

    def alert(url: str) -> str:
        asked.append(url)
        return "ClicksFell"

    rig.scheduler = replace(rig.scheduler, alert=alert)
    rig.scheduler.parts.settlement.remember(Memory(answered=100, at=NOON - timedelta(days=2)))
    assert not rig.scheduler.progress().due
    assert asked == []
    told = rig.settings.model_copy(update={"train_alerts_url": "http://prometheus:9090"})
    rig.scheduler = replace(rig.scheduler, settings=told)
    assert rig.scheduler.check() is RESULT
    assert asked[0] == "http://prometheus:9090"


def test_a_restart_does_not_train_on_the_same_data_again(tmp_path: Path) -> None:
    Rig(tmp_path, answered=150).scheduler.check()
    assert Rig(tmp_path, answered=150).scheduler.check() is None


def test_a_damaged_memory_trains_again_rather_than_never(tmp_path: Path) -> None:
    Rig(tmp_path, answered=150).scheduler.check()
    (tmp_path / "trainer.json").write_text("{")
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
    assert value(metrics.PROMOTED_MODEL, model_id="base", base_model="base") == 1


def test_a_restart_shows_what_the_last_gate_measured(tmp_path: Path) -> None:
    rig = Rig(tmp_path, answered=0)
    rig.store.last_figures = lambda: list(RESULT.figures)  # type: ignore[method-assign]
    rig.scheduler.show_last()
    labels = {"metric": "recall", "k": "10", "segment": "code", "system": "candidate"}
    assert rig.telemetry.value(metrics.QUALITY, **labels) == 0.7
    assert rig.telemetry.value(metrics.QUALITY_LOW, **labels) == 0.6
    assert rig.telemetry.value(metrics.GATE_QUERIES, segment="*") == 300


def shadow(**change: object) -> Shadow:
    made = Shadow(model_id="m", measured=None, since=NOON, answered=100, missing=40)
    return made.model_copy(update=change)


def with_shadow(rig: Rig, kept: Shadow) -> list[str]:
    """A memory with that shadow; the list says which are judged again."""
    again: list[str] = []

    def look(parts: Parts, settings: TrainerSettings, shadow: Shadow) -> CycleResult:
        again.append(shadow.model_id)
        return RESULT

    rig.scheduler = replace(rig.scheduler, again=look)
    rig.scheduler.parts.settlement.remember(Memory(answered=100, shadows=(kept,)))
    return again


def test_a_shadow_is_judged_again_when_enough_gate_queries_are_new(tmp_path: Path) -> None:
    rig = Rig(tmp_path, answered=100)
    again = with_shadow(rig, shadow())
    for answered, looks in ((100, 0), (199, 0)):
        rig.store.answered = answered
        rig.scheduler.check()
        assert len(again) == looks
    rig.settings = rig.settings.model_copy(update={"train_min_queries": 1_000})
    rig.scheduler = replace(rig.scheduler, settings=rig.settings)
    rig.store.answered = 260
    assert rig.scheduler.check() is RESULT
    assert (again, rig.cycles) == (["m"], 0)


def test_another_model_in_service_opens_the_question_again(tmp_path: Path) -> None:
    rig = Rig(tmp_path, answered=100)
    again = with_shadow(rig, shadow(measured="another"))
    rig.scheduler.check()
    assert again == ["m"]


def test_an_old_shadow_is_let_go_and_everybody_is_told(tmp_path: Path) -> None:
    rig = Rig(tmp_path, answered=100)
    model_id = add(rig.scheduler.parts.registry)
    again = with_shadow(rig, shadow(model_id=model_id, since=NOON - timedelta(days=31)))
    assert rig.scheduler.check() is None
    assert again == []
    assert rig.scheduler.parts.settlement.memory().shadows == ()
    assert [(each.action, each.reason) for each in rig.events] == [
        ("refused", "let go: unproven for 30 days")
    ]


def test_a_training_that_diverges_waits_for_more_data(tmp_path: Path) -> None:
    rig = Rig(tmp_path, answered=100, error=TrainingFailedError("nan"))
    with pytest.raises(TrainingFailedError):
        rig.scheduler.check()
    assert rig.scheduler.check() is None


def test_beside_another_trainer_it_waits(tmp_path: Path) -> None:
    rig = Rig(tmp_path, answered=100)
    with alone(ModelRegistry(tmp_path)), pytest.raises(BusyError, match="wait"):
        rig.scheduler.train()
    assert rig.scheduler.check() is RESULT


def test_a_promoted_model_that_no_query_reached_is_shown_with_its_limit(tmp_path: Path) -> None:
    rig = Rig(tmp_path, answered=1)
    rig.scheduler.show_unseen()
    assert rig.telemetry.value(metrics.PROMOTED_UNSEEN) == 0
    assert rig.telemetry.value(metrics.PROMOTED_UNSEEN_LIMIT) == 24 * 3_600
    registry = rig.scheduler.parts.registry
    registry.promote(add(registry), "proven", NOON - timedelta(hours=5), measured=None)
    rig.scheduler.show_unseen()
    assert rig.telemetry.value(metrics.PROMOTED_UNSEEN) == 5 * 3_600
