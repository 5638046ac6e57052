"""`--json`: one object on standard output, of the committed shape, whatever the command."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Self

import orjson
import pytest
from tests.unit.cli.json_schema import check

from ragwheel.accounting.accounts import Gap, TopicAccount
from ragwheel.accounting.ledger import Unfinished
from ragwheel.cli.command import load
from ragwheel.cli.commands import COMMANDS
from ragwheel.cli.main import main
from ragwheel.cli.reference import JSON_DIR, REPORTS
from ragwheel.measuring.intervals import Interval
from ragwheel.operations import forget, goals, overview, redeliver
from ragwheel.operations.breakers import HeldModel
from ragwheel.operations.doctor.finding import Finding, ok, warn
from ragwheel.operations.explaining import (
    CanaryCosine,
    Difference,
    Explanation,
    MeasuredFigure,
    ModelDiff,
    RankMove,
)
from ragwheel.operations.leaderboard import Leaderboard
from ragwheel.operations.outlook import TrainOutlook
from ragwheel.operations.overview import GroupState
from ragwheel.operations.reembedding import ReembedPlan, ReembedReport
from ragwheel.operations.running import ProcessState, StackState
from ragwheel.operations.write_off import WriteOff
from ragwheel.reembed.advice import Advice
from ragwheel.reembed.planning import ReembedPrice
from ragwheel.reembed.shards import Totals
from ragwheel.reembed.verification import Findings, Recall
from ragwheel.schemas.migrations import Migration, migrations
from ragwheel.trainers.ladder import Rung
from ragwheel.trainers.proof.evaluation import Figure, GateQueries
from ragwheel.trainers.proof.gate import Verdict
from ragwheel.trainers.proof.guards import GateRules
from ragwheel.trainers.proof.power import outlook
from ragwheel.trainers.trainer import PromotionResult, RollbackResult

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
PROCESS = ProcessState("intake", os.getpid(), "intake.log", metrics_port=1)
SECRET = "of-nobody"


class FakeTrainer:
    """A trainer for whom enough is new, and whose model is promoted."""

    due = True

    def __init__(self, *_given: object, **_settings: object) -> None:
        self.scheduler = self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        pass

    def progress(self) -> SimpleNamespace:
        return SimpleNamespace(
            available=3, threshold=2 if self.due else 9, due=self.due, reason="3 are there"
        )

    def train(self) -> SimpleNamespace:
        figure = Figure("recall", 10, "*", "delta", Interval(0.2, 0.1, 0.3), 40)
        return SimpleNamespace(
            model=SimpleNamespace(model_id="m1"),
            verdict=Verdict("promoted", "proven", 0.2, 0.1, 40),
            figures=(figure,),
            said=("queries    train 7",),
            stage_seconds={"train": 1.5},
        )

    def roll_back(self, _reason: str) -> RollbackResult:
        return RollbackResult("m1", "m0")

    def promote(self, model_id: str, _reason: str, *, force: bool) -> PromotionResult:
        assert force
        return PromotionResult(model_id, "m0")


class Impatient(FakeTrainer):
    """A trainer for whom too little is new."""

    due = False


class FakeReembedding:
    """A re-embedding that was verified, and did not convince."""

    def __init__(self, *_given: object) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        pass

    def plan(self, _proposal: object) -> ReembedPlan:
        return ReembedPlan(
            "4f2a", "docs", "1", "2", "memory://", "base", "f", 8, 3, 3, 30, 0.5, 60.0,
            ReembedPrice(1.0, 0.9, 1.1, 2.0), 0.1, 3, [Advice("query lane", "it gains", "train")],
        )  # fmt: skip

    def verify(self, *_given: object) -> ReembedReport:
        totals = Totals(3, 2, {"too long": 1}, {}, shards=1, shards_done=1)
        mean = Interval(0.5, 0.4, 0.6)
        recall = Recall(40, mean, mean, Interval(0.0, -0.1, 0.1))
        found = Findings(totals, 2, 3, 32, 2, 2, recall, 0.01, ["1 chunks failed"])
        return ReembedReport(
            "4f2a", "built", NOW, "ops", "", "docs", "1", "2", "memory://", "base", totals, 0,
            "docs__1", 0.5, found, "", "verify again",
        )  # fmt: skip


class FakeStack:
    """A stack that runs at once and ends at once."""

    def __init__(self, home: Path, on_progress: Callable[[str], None], **_given: object) -> None:
        on_progress("kafka ready at nowhere")
        env = {"RAGWHEEL_CLICKHOUSE_URL": "http://here", "RAGWHEEL_LLM_API_KEY": SECRET}
        self.state = StackState(os.getpid(), str(home), NOW.isoformat(), env, (PROCESS,))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        pass

    def wait(self) -> None:
        pass


def the_overview(*_settings: object) -> overview.Overview:
    """A wheel with one of everything, and a grader that is down."""
    return overview.Overview(
        home="/home",
        topics=[TopicAccount("grading", 5, 5, 4, 1, 0, pending_jobs=2, gaps=(Gap(1, 3, 4),))],
        tables=[overview.TableRows("queries", 7, True)],
        labels=[overview.LabelCount("label", "m", "graded", None, 2, 0.5)],
        dead_letters=[overview.DeadLetterCount("not_utf8", 1, 2)],
        models=[overview.ModelLine("m1", "promoted", True, "proven", NOW)],
        groups=[GroupState("intake", "ragwheel-intake", 1)],
        processes=[PROCESS, ProcessState("grader", None, "grader.log")],
        held=[HeldModel("grader", "m", "open", "quota")],
        unfinished=[Unfinished("failed", 3, NOW)],
    )


def the_replay(*_given: object, dry_run: bool, **_options: object) -> redeliver.ReplayReport:
    """One of two letters is still unusable."""
    return redeliver.ReplayReport(
        dry_run, 2, 1, [redeliver.Unusable("d1", "queries", "not_utf8: at byte 3")]
    )


def the_erasure(*_given: object, dry_run: bool, **_options: object) -> forget.ForgetReport:
    """One table had something, and intake is behind."""
    erased = [forget.TableErasure("queries", 2, 0)]
    return forget.ForgetReport(dry_run, 1, erased, complete=False, waiting=3)


def the_outlook(*_given: object) -> TrainOutlook:
    """Some queries are held out, in one segment."""
    parts = outlook(GateQueries.of(["code"] * 60), GateRules())
    return TrainOutlook(
        answered=300, due=True, reason="enough", opened="the gate", next_step=Rung(1_000, "more"),
        queries={"train": 240, "gate": 60}, look=2, alpha=0.008, parts=parts, shadows=["m2"],
        serving=None, evaluation=["20 labeled queries in 19 clusters"],
    )  # fmt: skip


def the_wait(*_given: object, **_options: object) -> goals.Waited:
    """The time was over first."""
    return goals.Waited("graded", False, {"grading": 3}, None, 600.0)


def the_verdict(*_given: object, **_options: object) -> goals.Waited:
    """The gate has decided."""
    verdict = goals.VerdictLine("m1", "shadow", "not proven")
    return goals.Waited("trained", True, {}, verdict, 4.5)


def the_findings(*_given: object, **_options: object) -> list[Finding]:
    """One thing is well, one is not there."""
    return [ok("python", "3.12"), warn("chromium", "not found", "apt install chromium")]


def the_migrations(*_given: object, **_options: object) -> list[Migration]:
    """One was missing."""
    return [migrations()[0]]


def the_topics(*_given: object, **_options: object) -> list[str]:
    """Two were missing."""
    return ["labels", "feedback"]


def the_leaderboard(*_given: object) -> Leaderboard:
    """One system in one segment."""
    return Leaderboard([Figure("recall", 10, "*", "bm25", Interval(0.2, 0.1, 0.3), 40)])


def the_explanation(*_given: object) -> Explanation:
    """A model with one of everything."""
    figure = MeasuredFigure("recall@10", "*", "delta", 0.1, 0.05, 0.15, 300)
    move = RankMove("code", "how?", 40, 2)
    manifest = {"base_model": "base", "dimension": "2", "snapshot_id": "s", "seed": "1"}
    return Explanation(
        "m1", True, manifest, "promoted", "proven", NOW.isoformat(), [figure], [move], [move], ["a"]
    )


def the_difference(*_given: object) -> ModelDiff:
    """One thing is different."""
    return ModelDiff("m1", "m2", [Difference("seed", "1", None)], [CanaryCosine("query", 0.4, 0.8)])


def the_write_off(*_given: object, **_options: object) -> WriteOff:
    """Two were lost, and one can still be read."""
    return WriteOff("queries", dry_run=False, messages=2, lost=[Gap(3, 40, 42)], readable=1)


def _nothing(*_given: object, **_options: object) -> SimpleNamespace:
    return SimpleNamespace(close=lambda: None)


BROKER = ("ragwheel.backends.kafka.require_broker", _nothing)
EVENTS = '{"event": "query", "query_id": "q", "ts": "2026-01-31T12:00:00Z", "text": "?"}\nx\n'
#: Command line → exit status, and what is replaced by a fake: (name of the seam, fake).
CASES: dict[str, tuple[int, list[tuple[str, object]]]] = {
    "version --json": (0, []),
    "grade --file searches.jsonl --dry-run --json": (0, []),
    "rubric --json": (0, []),
    "rubric show tool-does-request --json": (0, []),
    "rubric init own-answers --json": (0, []),
    "rubric check rubric.toml --json": (65, []),
    "rubric diff tool-does-request chunk-answers-query --json": (0, []),
    "down --json": (0, []),
    "emit --dry-run --json --file events.jsonl": (65, []),
    "status --json": (1, [("ragwheel.operations.overview.look", the_overview)]),
    "doctor --json": (
        0,
        [("ragwheel.operations.doctor.examine", the_findings)],
    ),
    "models --json": (0, []),
    "models prune --dry-run --json": (0, []),
    "models allow m1 --json": (0, [("ragwheel.models.registry.ModelRegistry.allow", _nothing)]),
    "leaderboard --json": (
        0, [("ragwheel.operations.leaderboard.read_leaderboard", the_leaderboard)]
    ),
    "models promote m1 --reason why --force --json": (
        0, [("ragwheel.trainers.trainer.Trainer", FakeTrainer)]
    ),
    "models explain m1 --json": (
        0, [("ragwheel.operations.explaining.explain", the_explanation)]
    ),
    "models diff m1 m2 --json": (0, [("ragwheel.operations.explaining.diff", the_difference)]),
    "models rollback --json": (0, [("ragwheel.trainers.trainer.Trainer", FakeTrainer)]),
    "export --list --json": (0, []),
    "migrate --json": (
        0,
        [
            ("ragwheel.backends.clickhouse.connect", _nothing),
            ("ragwheel.backends.migrate.migrate", the_migrations),
        ],
    ),
    "migrate --dry-run --json": (
        0,
        [
            ("ragwheel.backends.clickhouse.connect", _nothing),
            ("ragwheel.backends.migrate.pending", the_migrations),
        ],
    ),
    "reembed plan base --json": (
        0, [("ragwheel.operations.reembedding.Reembedding", FakeReembedding)],
    ),
    "reembed verify --json": (
        1, [("ragwheel.operations.reembedding.Reembedding", FakeReembedding)],
    ),
    "topics --dry-run --json": (0, [("ragwheel.backends.kafka.missing_topics", the_topics)]),
    "topics --json": (0, [BROKER, ("ragwheel.backends.kafka.create_topics", the_topics)]),
    "replay --json": (65, [("ragwheel.operations.redeliver.replay", the_replay)]),
    "write-off queries --reason r --json": (
        1,
        [("ragwheel.operations.write_off.write_off", the_write_off)],
    ),
    "forget --user u --yes --json": (
        75,
        [("ragwheel.operations.forget.forget", the_erasure)],
    ),
    "train status --json": (
        0,
        [
            ("ragwheel.trainers.trainer.Trainer", FakeTrainer),
            ("ragwheel.operations.outlook.outlook_of", the_outlook),
        ],
    ),
    "train --json": (0, [BROKER, ("ragwheel.trainers.trainer.Trainer", FakeTrainer)]),
    "train --json --force": (0, [BROKER, ("ragwheel.trainers.trainer.Trainer", Impatient)]),
    "train  --json": (75, [BROKER, ("ragwheel.trainers.trainer.Trainer", Impatient)]),
    "wait --graded --json": (75, [BROKER, ("ragwheel.operations.goals.wait", the_wait)]),
    "wait --trained --json": (0, [BROKER, ("ragwheel.operations.goals.wait", the_verdict)]),
    "up --json": (0, [("ragwheel.stack.LocalStack", FakeStack)]),
}  # fmt: skip


@pytest.mark.parametrize("line", CASES)
def test_a_report_is_one_object_of_the_committed_shape(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, seams = CASES[line]
    for name, fake in seams:
        monkeypatch.setattr(name, fake)
    monkeypatch.chdir(tmp_path)
    Path("events.jsonl").write_text(EVENTS, encoding="utf-8")
    Path("searches.jsonl").write_text('{"query": "q", "chunks": ["a"]}', encoding="utf-8")
    Path("rubric.toml").write_text('name = "half"', encoding="utf-8")
    assert main(line.split()) == status
    out = capsys.readouterr().out
    schema = orjson.loads((JSON_DIR / f"{line.split()[0]}.schema.json").read_bytes())
    report = orjson.loads(out)
    assert isinstance(report, dict)
    check(report, schema, schema)
    assert SECRET not in out


def test_every_report_is_tried_and_every_json_option_has_a_shape() -> None:
    assert {line.split()[0] for line in CASES} == set(REPORTS)
    with_json = {name for name in COMMANDS if any("--json" in p.opts for p in load(name).params)}
    assert with_json == set(REPORTS)
    assert {path.name for path in JSON_DIR.iterdir()} == {f"{n}.schema.json" for n in REPORTS}


@pytest.mark.parametrize(
    "wrong", [{}, {"ragwheel": 1, "python": "3"}, {"ragwheel": "1", "python": "3", "more": 1}]
)
def test_what_has_another_shape_is_found(wrong: dict[str, object]) -> None:
    schema = orjson.loads((JSON_DIR / "version.schema.json").read_bytes())
    with pytest.raises(AssertionError):
        check(wrong, schema, schema)
