"""One whole turn of the wheel on a tiny model, in memory: no Kafka, no ClickHouse, no download."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from tests.rigs.trainer_world import (
    JUDGE,
    LABELER,
    NOON,
    TruthfulJudge,
    World,
    make_world,
    save_base_model,
)

from ragwheel.models.canaries import (
    answers,
    read_canaries,
    read_reference,
    require_agreement,
)
from ragwheel.models.encoder import Progress, Side, TextEncoder, Vectors, load_encoder
from ragwheel.models.manifest import TrainConfig
from ragwheel.models.registry import ModelRegistry
from ragwheel.models.vectors import VectorCache
from ragwheel.schemas.errors import ConfigError
from ragwheel.schemas.events import GradingJob, ModelEvent
from ragwheel.schemas.settings import TrainerSettings
from ragwheel.trainers.cycle import CycleResult, run_again, run_cycle
from ragwheel.trainers.data import folder
from ragwheel.trainers.data.records import LoggedRanking
from ragwheel.trainers.data.sides import SIDES_FILE, write_sides
from ragwheel.trainers.data.split import Membership, Sides
from ragwheel.trainers.lanes import query_side
from ragwheel.trainers.lanes.contracts import TrainingFailedError, TrainingSummary
from ragwheel.trainers.parts import Parts
from ragwheel.trainers.proof.judging import Judge, Judged
from ragwheel.trainers.reading import NotEnoughDataError
from ragwheel.trainers.remake import remade, remake
from ragwheel.trainers.settle import Shadow

CONFIG = TrainConfig(epochs=6, learning_rate=0.1, batch_size=32, max_seq_length=64)


@dataclass
class Bench:
    """Everything around a cycle, on a temporary folder."""

    folder: Path
    world: World
    settings: TrainerSettings
    events: list[ModelEvent] = field(default_factory=list)
    asked: list[GradingJob] = field(default_factory=list)

    @property
    def registry(self) -> ModelRegistry:
        return ModelRegistry(self.settings.model_dir)

    def run(self, judge: Judge | None = None, config: TrainConfig = CONFIG) -> CycleResult:
        return run_cycle(self.parts(judge), self.settings, config)

    def parts(self, judge: Judge | None = None) -> Parts:
        return Parts(
            store=self.world,
            judge=judge or TruthfulJudge(self.world),
            registry=self.registry,
            cache=VectorCache(self.settings.vector_cache_dir),
            publish=self.events.append,
            now=lambda: NOON,
            ask=self.asked.extend,
        )


@pytest.fixture(scope="module")
def base_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_base_model(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def world(base_model: str) -> World:
    return make_world(base_model)


def make_bench(tmp_path: Path, base_model: str, world: World) -> Bench:
    settings = TrainerSettings(
        base_model=base_model,
        model_dir=tmp_path / "models",
        vector_cache_dir=tmp_path / "vectors",
        gate_share=0.3,
        gate_min_queries=100,
        judge_depth=10,
        max_seq_length=64,
    )
    return Bench(tmp_path, world, settings)


@pytest.fixture
def bench(tmp_path: Path, base_model: str, world: World) -> Bench:
    return make_bench(tmp_path, base_model, world)


@dataclass
class Promoted:
    """A cycle that went well; read only."""

    bench: Bench
    judge: TruthfulJudge
    result: CycleResult
    seconds: float


@pytest.fixture(scope="module")
def promoted(tmp_path_factory: pytest.TempPathFactory, base_model: str, world: World) -> Promoted:
    bench = make_bench(tmp_path_factory.mktemp("promoted"), base_model, world)
    judge = TruthfulJudge(world)
    began = time.monotonic()
    result = bench.run(judge)
    return Promoted(bench, judge, result, time.monotonic() - began)


def figure(result: CycleResult, metric: str, system: str, segment: str = "*") -> float:
    [found] = [
        each.interval.value
        for each in result.figures
        if (f"{each.metric}@{each.k}", each.system, each.segment) == (metric, system, segment)
    ]
    return found


def test_a_better_model_is_trained_proven_and_promoted(promoted: Promoted) -> None:
    bench, result = promoted.bench, promoted.result
    assert result.verdict.action == "promoted", result.verdict.reason
    before, after = (figure(result, "recall@10", s) for s in ("incumbent", "candidate"))
    assert after > before * 1.1
    assert figure(result, "recall@10", "delta") == pytest.approx(after - before)
    current = bench.registry.current()
    assert current is not None
    assert current.model_id == result.model.model_id
    bench.registry.verify(current.model_id)
    assert bench.registry.report(current.model_id) is not None
    [event] = bench.events
    assert event.action == "promoted"
    assert (event.base_model, event.incumbent_id) == (
        bench.settings.base_model, bench.settings.base_model,
    )  # fmt: skip
    assert {metric.segment for metric in event.metrics} >= {"*", "left", "right"}
    assert {metric.system for metric in event.metrics} >= {"incumbent", "candidate", "bm25"}
    assert ModelEvent.model_validate_json(event.model_dump_json()) == event


def test_the_promoted_folder_is_the_model_that_was_measured(promoted: Promoted) -> None:
    bench, result = promoted.bench, promoted.result
    loaded = load_encoder(Path(result.event.uri.removeprefix("file://")) / "query_encoder", 64)
    relevant_ranks = [shift.after for shift in result.shifts]
    documents = load_encoder(bench.settings.base_model, 64).encode(
        bench.world.corpus().texts, "document"
    )
    query = loaded.encode([result.shifts[0].query], "query")[0]
    row = bench.world.corpus().chunk_hashes.index(result.shifts[0].chunk_hash)
    scores = documents @ query
    assert relevant_ranks[0] == 1 + int((scores > scores[row]).sum())
    assert result.model.manifest.document_fingerprint == load_encoder(
        bench.settings.base_model, 64
    ).fingerprint  # fmt: skip


def test_a_model_says_how_it_is_used_and_what_it_must_answer(promoted: Promoted) -> None:
    model = promoted.result.model
    assert (model.manifest.format, model.manifest.kind) == (2, "bi-encoder")
    assert model.manifest.dimension == 64
    query = load_encoder(model.query_encoder, 64)
    document = load_encoder(promoted.bench.settings.base_model, 64)
    stored = read_canaries(model.folder)
    found: dict[Side, Vectors] = {
        "query": answers(query, "query"), "document": answers(document, "document"),
    }  # fmt: skip
    assert require_agreement(stored, found, model.model_id) > 0.9999
    reference = read_reference(model.folder)
    assert reference is not None
    corpus = promoted.bench.world.corpus()
    assert len(reference.vectors) == min(2_000, len(corpus.texts))
    rows = [corpus.chunk_hashes.index(each.tobytes().hex()) for each in reference.hashes[:5]]
    expected = document.encode([corpus.texts[row] for row in rows], "document")
    np.testing.assert_allclose(reference.vectors[:5], expected, atol=2e-2)
    assert promoted.result.event.document_fingerprint == document.fingerprint


def test_the_judge_sees_only_held_out_queries_and_both_systems_results(promoted: Promoted) -> None:
    judge, result = promoted.judge, promoted.result
    assert len(judge.asked) == result.gate_queries > 200
    sides = result.snapshot.sides
    assert {sides.part(job.query_hash) for job in judge.asked} == {"gate"}
    assert all(job.role == "judge" for job in judge.asked)
    assert all(10 <= len(job.candidates) <= 20 for job in judge.asked)
    assert any(len(job.candidates) > 10 for job in judge.asked)
    trained = {example.query_hash for example in result.snapshot.train}
    assert trained.isdisjoint(job.query_hash for job in judge.asked)


def test_equal_data_config_and_seed_make_the_same_model(promoted: Promoted, bench: Bench) -> None:
    first, second = promoted.result, bench.run()
    assert second.model.model_id == first.model.model_id
    assert second.snapshot.snapshot_id == first.snapshot.snapshot_id


def test_the_same_model_is_made_again_from_the_folder_of_its_snapshot_alone(
    promoted: Promoted, tmp_path: Path
) -> None:
    # T14: snapshot and corpus were not stored, and nothing could be made again.
    result = promoted.result
    root = promoted.bench.settings.model_dir / folder.SNAPSHOTS
    read = folder.read(folder.find(root, result.snapshot.snapshot_id[:8]))
    assert read == result.snapshot
    again = remake(read, VectorCache(tmp_path / "vectors"), ModelRegistry(tmp_path / "models"))
    # The id is a digest of all its bytes.
    assert again.model_id == result.model.model_id


def test_a_person_makes_a_model_again_by_the_beginning_of_its_snapshots_id(
    promoted: Promoted,
) -> None:
    settings, snapshot = promoted.bench.settings, promoted.result.snapshot
    made = remade(settings, snapshot.snapshot_id[:6], lambda *_: None)
    assert made == (promoted.result.model.model_id, "the same model, made again")


def test_another_base_model_makes_no_second_copy_of_a_model(
    promoted: Promoted, tmp_path: Path
) -> None:
    other = save_base_model(tmp_path / "other", seed=1)
    snapshot = promoted.result.snapshot
    moved = replace(snapshot, recipe=snapshot.recipe._replace(base_model=other))
    with pytest.raises(folder.SnapshotError, match="made with other weights"):
        remake(moved, VectorCache(tmp_path / "vectors"), ModelRegistry(tmp_path / "models"))


def test_a_query_keeps_its_side_in_the_next_cycle_whatever_arrives(
    promoted: Promoted, bench: Bench
) -> None:
    sides = promoted.result.snapshot.sides
    write_sides(bench.settings.model_dir / SIDES_FILE, Sides({"gone": Membership("gone", "gate")}))
    assert bench.run().snapshot.sides.of == {**sides.of, "gone": Membership("gone", "gate")}


def test_a_second_cycle_competes_with_the_promoted_model(promoted: Promoted, bench: Bench) -> None:
    first = promoted.result.model
    shutil.copytree(first.folder, bench.settings.model_dir / "models" / first.model_id)
    bench.registry.promote(first.model_id, "for the test", NOON, measured=None)
    second = bench.run(config=CONFIG.model_copy(update={"learning_rate": 0.1001}))
    assert second.event.incumbent_id == first.model_id
    # Almost the same model again: nothing is gained, hence nothing replaces what serves.
    assert second.verdict.action != "promoted"
    current = bench.registry.current()
    assert current is not None
    assert current.model_id == first.model_id


def test_a_ruined_model_is_refused_before_a_judge_is_paid(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def turn_around(encoder: TextEncoder, *_: object, **__: object) -> TrainingSummary:
        with torch.no_grad():
            next(encoder.model.parameters()).mul_(-1)
        return TrainingSummary(1, 1.0, 1.0)

    monkeypatch.setattr(query_side, "train_query_side", turn_around)
    judge = TruthfulJudge(bench.world)
    result = bench.run(judge)
    assert result.verdict.action == "refused"
    assert "no judge was asked" in result.verdict.reason
    assert judge.asked == []
    assert bench.registry.current() is None
    assert [event.action for event in bench.events] == ["refused"]


def test_a_judge_that_never_answers_leaves_the_candidate_unproven(bench: Bench) -> None:
    def silent(jobs: Sequence[GradingJob], progress: Progress) -> Judged:
        return Judged("", ())

    result = bench.run(silent)
    assert result.verdict.action == "shadow"
    assert bench.registry.current() is None


def test_a_judge_that_answers_half_leaves_the_candidate_unproven(bench: Bench) -> None:
    truthful = TruthfulJudge(bench.world)

    def lazy(jobs: Sequence[GradingJob], progress: Progress) -> Judged:
        judged = truthful(jobs, progress)
        return Judged(judged.grader_id, judged.judgments[::2])

    result = bench.run(lazy)
    assert result.verdict.action == "shadow"
    assert "of the top 10 were judged" in result.verdict.reason


def test_labels_of_the_judge_itself_disqualify_the_gate(bench: Bench) -> None:
    result = bench.run(TruthfulJudge(bench.world, grader_id=LABELER))
    assert result.verdict.action == "refused"
    assert "RAGWHEEL_JUDGE_MODEL" in result.verdict.reason
    assert JUDGE not in result.snapshot.card.graders


def test_the_gate_set_is_capped_without_changing_its_order(bench: Bench) -> None:
    judge = TruthfulJudge(bench.world)
    bench.settings = bench.settings.model_copy(update={"gate_max_queries": 120})
    bench.run(judge)
    assert len(judge.asked) == 120


def test_too_little_data_is_said_in_words(bench: Bench) -> None:
    bench.world = World({}, [], {}, [])
    with pytest.raises(NotEnoughDataError, match="send the corpus"):
        bench.run()
    assert bench.events == []


def test_a_base_model_that_does_not_exist_names_the_setting(bench: Bench, tmp_path: Path) -> None:
    bench.settings = bench.settings.model_copy(update={"base_model": str(tmp_path / "nothing")})
    with pytest.raises(ConfigError, match=r"RAGWHEEL_BASE_MODEL.*nothing.*Hugging Face"):
        bench.run()


def test_stages_are_timed_in_order(promoted: Promoted) -> None:
    seconds = promoted.result.stage_seconds
    assert list(seconds) == [
        "read",
        "embed",
        "snapshot",
        "train",
        "evaluate",
        "judge",
        "gate",
    ]
    assert 0 < sum(seconds.values()) <= promoted.seconds


def test_flags_that_are_doubted_are_graded_again_after_a_training(promoted: Promoted) -> None:
    snapshot = promoted.result.snapshot
    doubted = {
        (each.said.query_hash, each.said.chunk_hash)
        for each in snapshot.evidence
        if each.said.grade >= 2 and 0.05 <= each.belief <= 0.5
    }
    asked = {
        (job.query_hash, each.chunk_hash) for job in promoted.bench.asked for each in job.candidates
    }
    assert asked <= doubted
    assert len(asked) == min(len(doubted), promoted.bench.settings.second_looks)


def test_a_training_that_diverged_leaves_no_model(bench: Bench) -> None:
    diverging = CONFIG.model_copy(update={"learning_rate": 1e30})
    with pytest.raises(TrainingFailedError, match="lower the learning rate"):
        bench.run(config=diverging)
    assert bench.registry.ids() == []
    assert bench.events == []


def logged(world: World, shift: int) -> list[LoggedRanking]:
    """What production returned: the ten that the base model finds, or others of the corpus."""
    hashes = world.corpus().chunk_hashes
    return [
        LoggedRanking(
            each.query_hash, each.segment, "dense", "", "", "",
            tuple(hashes[(hashes.index(chunk) + shift) % len(hashes)] for chunk in each.shown),
            tuple(1.0 for _ in each.shown), NOON,
        )
        for each in world.sampled_queries()
    ]  # fmt: skip


@pytest.mark.parametrize(("shift", "action"), [(0, "promoted"), (7, "shadow")])
def test_nothing_is_promoted_on_a_reproduction_that_production_contradicts(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, shift: int, action: str
) -> None:
    monkeypatch.setattr(bench.world, "logged_rankings", lambda: logged(bench.world, shift))
    result = bench.run()
    assert result.verdict.action == action, result.verdict.reason
    assert result.agreement is not None
    assert result.agreement.queries > 200
    assert figure(result, "recall@10", "observed") > 0
    if shift:
        assert "disagrees with what production returned (overlap@10 0.0" in result.verdict.reason
        assert bench.registry.current() is None
        [shadow] = bench.parts().settlement.memory().shadows
        assert shadow.model_id == result.model.model_id
    else:
        assert result.agreement.overlap > 0.95


def test_the_report_shows_per_segment_what_came_in_and_what_fell_out(promoted: Promoted) -> None:
    report = promoted.bench.registry.report(promoted.result.model.model_id)
    assert report is not None
    changes = cast("dict[str, dict[str, Any]]", report["changes"])
    assert set(changes) == {"left", "right"}
    for found in changes.values():
        assert found["came_in"] > found["fell_out"]
        assert all(each["after"] <= 10 < each["before"] for each in found["better"])
        assert all(each["before"] <= 10 < each["after"] for each in found["worse"])
    assert report["in_force"] == promoted.result.in_force


def test_a_shadow_is_judged_again_without_training_and_keeps_its_beginning(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = bench.run(lambda jobs, progress: Judged("", ()))
    assert first.verdict.action == "shadow"
    parts = bench.parts()
    [shadow] = parts.settlement.memory().shadows
    assert parts.settlement.memory().looks == (), "nobody looked"
    monkeypatch.setattr(query_side, "train_query_side", None)
    again = run_again(parts, bench.settings, shadow)
    assert again.model.model_id == first.model.model_id
    assert again.verdict.action == "promoted", again.verdict.reason
    assert bench.registry.current_id() == first.model.model_id
    memory = parts.settlement.memory()
    assert memory.shadows == ()
    [look] = memory.looks
    assert look.promoted
    assert len(look.query_hashes) == again.gate_queries
    assert [event.action for event in bench.events] == ["shadow", "promoted"]
    assert bench.events[1].gate_query_hashes == look.query_hashes


def test_what_serves_is_not_measured_against_itself(bench: Bench) -> None:
    first = bench.run()
    assert first.verdict.action == "promoted"
    judge = TruthfulJudge(bench.world)
    second = run_again(
        bench.parts(judge), bench.settings,
        Shadow(model_id=first.model.model_id, measured=None, since=NOON, answered=0, missing=0),
    )  # fmt: skip
    assert second.verdict.action == "refused"
    assert "do nothing" in second.verdict.reason
    assert judge.asked == []
    assert bench.registry.current_id() == first.model.model_id


@pytest.mark.parametrize(
    ("budget", "said"),
    [({"max_model_mb": 0.001}, "size"), ({"max_query_latency_ms": 1e-6}, "latency")],
)
def test_what_is_too_large_or_too_slow_is_refused_before_a_judge_is_paid(
    bench: Bench, budget: dict[str, float], said: str
) -> None:
    judge = TruthfulJudge(bench.world)
    result = replace(bench, settings=bench.settings.model_copy(update=budget)).run(judge)
    assert result.verdict.action == "refused"
    assert said in result.verdict.reason
    assert "budget" in result.verdict.reason
    assert judge.asked == []
