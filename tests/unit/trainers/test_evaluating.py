"""With a few labels: what is in service is measured, with what that does not show."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import pytest
from tests.rigs.trainer_world import NOON, World, graded, make_world, save_base_model

from ragwheel.models.registry import ModelRegistry
from ragwheel.models.vectors import VectorCache
from ragwheel.schemas.settings import TrainerSettings
from ragwheel.trainers.data.records import LoggedRanking
from ragwheel.trainers.data.sides import SIDES_FILE
from ragwheel.trainers.evaluating import LabelReport, evaluate_labels, read_evaluation
from ragwheel.trainers.parts import Parts
from ragwheel.trainers.proof.judging import Judge
from ragwheel.trainers.reading import NotEnoughDataError


@dataclass
class Logged(World):
    """A world whose production puts the answer first wherever it found it."""

    def logged_rankings(self) -> list[LoggedRanking]:
        return [
            LoggedRanking(
                each.query_hash, each.segment, "dense", "", "", "base",
                tuple(sorted(each.shown, key=lambda chunk: -self.truth(each.query_hash, chunk))),
                (), NOON,
            )
            for each in self.questions
        ]  # fmt: skip


@pytest.fixture(scope="module")
def base_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_base_model(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def world(base_model: str) -> Logged:
    made = make_world(base_model, questions=40, chunks=60)
    # One of two segments is rare.
    questions = [
        replace(each, segment="right" if at < 5 else "left")
        for at, each in enumerate(made.questions)
    ]
    return Logged(made.chunks, questions, made.answers, made.pairs)


def evaluated(folder: Path, base_model: str, world: World) -> LabelReport:
    settings = TrainerSettings(
        base_model=base_model, model_dir=folder / "models", vector_cache_dir=folder / "vectors",
        max_seq_length=64,
    )  # fmt: skip
    parts = Parts(
        store=world,
        judge=cast(Judge, None),  # nobody is asked
        registry=ModelRegistry(settings.model_dir),
        cache=VectorCache(settings.vector_cache_dir),
        publish=lambda event: pytest.fail("a report decides nothing"),
        now=lambda: NOON,
    )
    return evaluate_labels(parts, settings)


def value(report: LabelReport, system: str, metric: str, k: int) -> float:
    [found] = [
        each.interval.value
        for each in report.figures
        if (each.system, each.metric, each.k, each.segment) == (system, metric, k, "*")
    ]
    return found


def test_production_keyword_search_and_the_base_model_are_measured_by_the_labels(
    tmp_path: Path, base_model: str, world: Logged
) -> None:
    report = evaluated(tmp_path, base_model, world)
    assert list(report.coverage) == ["observed", "base", "bm25"]
    assert report.reference == "observed"
    assert report.queries == report.answered == world.count_answered()
    # All that production returned is graded, and it had what is relevant at the top.
    assert value(report, "observed", "recall", 1) == 1
    assert report.coverage["observed"].judged == 1
    # Askers and chunks share no word: keyword search finds nothing.
    assert value(report, "bm25", "recall", 10) == 0
    assert 0 < value(report, "base", "mrr", 10) < 1
    assert value(report, "delta:base", "mrr", 10) == pytest.approx(
        value(report, "base", "mrr", 10) - 1
    )
    assert read_evaluation(tmp_path / "models") == report
    assert any("observed" in line and "recall@10 1.00" in line for line in report.lines())


def test_the_report_says_what_it_cannot_say(tmp_path: Path, base_model: str, world: Logged) -> None:
    unsaid = " | ".join(evaluated(tmp_path, base_model, world).unsaid)
    assert "what production never returned" in unsaid
    assert "a gate wants 200 held-out queries" in unsaid
    assert "anything of segment right" in unsaid
    assert "segment left" not in unsaid
    assert "0 decoys, 30 more are needed" in unsaid


def test_where_no_ranking_is_logged_that_is_said_and_the_base_model_is_the_reference(
    tmp_path: Path, base_model: str, world: Logged
) -> None:
    silent = World(world.chunks, world.questions, world.answers, world.pairs)
    report = evaluated(tmp_path, base_model, silent)
    assert report.reference == "base"
    assert any(each.startswith("what production returned") for each in report.unsaid)


def test_a_system_whose_results_nobody_graded_has_bounds_instead_of_a_figure(
    tmp_path: Path, base_model: str, world: Logged
) -> None:
    # Only what is relevant is graded: of the other results nobody knows.
    few = replace(world, pairs=[each for each in world.pairs if each.grade])
    report = evaluated(tmp_path, base_model, few)
    assert report.coverage["base"].judged < 0.2
    assert any(each.startswith("how good base is: ") for each in report.unsaid)


def test_a_report_holds_no_query_out(tmp_path: Path, base_model: str, world: Logged) -> None:
    evaluated(tmp_path, base_model, world)
    assert not (tmp_path / "models" / SIDES_FILE).exists()


def test_without_a_relevant_label_there_is_nothing_to_measure(
    tmp_path: Path, base_model: str, world: Logged
) -> None:
    first = world.questions[0]
    none = replace(world, pairs=[graded(first.query_hash, first.shown[0], 0)])
    with pytest.raises(NotEnoughDataError, match="relevant label"):
        evaluated(tmp_path, base_model, none)
