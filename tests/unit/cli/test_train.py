"""`ragwheel train` and `ragwheel models`: what they print."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.progress import Progress

from ragwheel.cli.output import show
from ragwheel.cli.views import leaderboard as leaderboard_view
from ragwheel.cli.views import models as registry_view
from ragwheel.cli.views import verdict
from ragwheel.cli.views.verdict import stage_bar, stage_lines, stages
from ragwheel.measuring.intervals import Interval
from ragwheel.models.manifest import Manifest, OfSides, TrainConfig
from ragwheel.models.registry import ModelRegistry
from ragwheel.operations.leaderboard import NothingMeasuredError, select
from ragwheel.operations.models import RegistryLine, ServedLine, registry_lines
from ragwheel.trainers.proof.evaluation import Figure
from ragwheel.trainers.stages import STAGES, progress_text


def _register(registry: ModelRegistry, seed: int) -> str:
    manifest = Manifest(
        lane="query",
        base_model="base",
        base_fingerprint="f",
        document_fingerprint="f",
        dimension=2,
        sides=OfSides(),
        snapshot_id="s",
        config=TrainConfig(),
        seed=seed,
        versions={},
        data={},
        training={},
    )

    def save(folder: Path) -> None:
        folder.mkdir()
        (folder / "weights").write_text(str(seed), encoding="utf-8")

    return registry.register(manifest, save).model_id


def _report(at: str, action: str, gain: float, queries: int) -> dict[str, object]:
    verdict = {"action": action, "gain": gain, "queries": queries, "reason": f"{action} because"}
    return {"at": at, "verdict": verdict}


def test_progress_is_a_line_every_few_seconds_and_at_the_end_of_each_stage() -> None:
    now = 0.0
    lines: list[str] = []
    show = stage_lines(lines.append, clock=lambda: now)
    for done in range(1, 101):
        now += 0.1
        show("train", done, 100)
    assert lines[0] == "training: batch 1 of 100 (1%)"
    assert lines[-1] == "training: batch 100 of 100 (100%)"
    assert 5 <= len(lines) <= 7


def test_every_stage_names_what_it_counts() -> None:
    assert [progress_text(stage, 1, 2_000) for stage in STAGES] == [
        "embedding: token 1 of 2,000",
        "training: batch 1 of 2,000",
        "judging: pair 1 of 2,000",
    ]


def test_on_a_terminal_each_stage_is_a_bar_with_its_unit() -> None:
    bars = Progress(disable=True)
    for stage, done in (("embed", 10), ("train", 1), ("train", 5)):
        stage_bar(bars, stage, done, 10)
    told = [(bar.description, bar.completed, bar.total) for bar in bars.tasks]
    assert told == [("embedding, token", 10, 10), ("training, batch", 5, 10)]


def test_in_a_pipe_progress_is_lines_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    with stages() as progress:
        progress("judge", 3, 3)
    assert capsys.readouterr() == ("", "judging: pair 3 of 3 (100%)\n")


def test_the_verdict_is_the_figures_of_both_models_and_the_reason(
    capsys: pytest.CaptureFixture[str],
) -> None:
    figures = [
        Figure("recall", 10, "*", "incumbent", Interval(0.5, 0.4, 0.6), 40),
        Figure("recall", 10, "*", "delta", Interval(0.1, 0.05, 0.15), 40),
    ]
    report = verdict.Training(
        9, 5, "abc", "promoted", "proven", figures, ["queries    train 7"], {"train": 1.25}
    )
    show(verdict.tables(report))
    assert capsys.readouterr().out.splitlines() == [
        "queries    train 7",
        "",
        "  metric     incumbent             candidate  difference",
        "  recall@10  0.500 [0.400, 0.600]  -          0.100 [0.050, 0.150]",
        "",
        "model abc: PROMOTED",
        "proven",
        "(train 1.2 s)",
    ]


def test_models_are_listed_latest_verdict_first_with_the_one_that_serves(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    registry = ModelRegistry(tmp_path)
    old, new, unjudged = (_register(registry, seed) for seed in range(3))
    registry.save_report(old, _report("2026-01-01T00:00:00+00:00", "promoted", 0.12, 300))
    registry.save_report(new, _report("2026-02-01T00:00:00+00:00", "refused", 0.0, 0))
    registry.promote(old, "proof", datetime(2026, 1, 1, tzinfo=UTC), measured=None)
    lines = registry_lines(registry)
    assert [line.model_id for line in lines] == [new, old, unjudged]
    assert [line.serving for line in lines] == [False, True, False]
    assert [line.gain for line in lines] == [None, 0.12, None]
    show(registry_view.tables(registry_view.Models(str(tmp_path), "base", old, lines)))
    text = capsys.readouterr().out
    assert [line.split()[0] for line in text.splitlines() if old in line] == ["*", "promoted:"]
    assert "+0.120" in text
    assert "promoted because" in text
    assert text.count("no verdict") == 1


def test_an_empty_registry_says_what_serves(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert registry_lines(ModelRegistry(tmp_path)) == []
    told = registry_view.tables(registry_view.Models("models", "the-base", None, []))
    show(told)
    assert capsys.readouterr().out.startswith(
        "no model in models yet; the base model (the-base) is promoted\n"
    )


def test_a_model_that_cannot_be_read_does_not_hide_the_others(tmp_path: Path) -> None:
    registry = ModelRegistry(tmp_path)
    good, bad = (_register(registry, seed) for seed in range(2))
    (tmp_path / "models" / bad / "manifest.json").write_text('{"training": {"last_loss": NaN}}')
    found = {line.model_id: line for line in registry_lines(registry)}
    assert found[good].verdict == ""
    assert found[bad].verdict == "unreadable"
    assert "manifest.json cannot be read" in found[bad].reason


def test_the_leaderboard_is_a_table_per_segment_best_first(
    capsys: pytest.CaptureFixture[str],
) -> None:
    figures = [
        Figure("recall", 10, segment, system, Interval(value, 0.1, 0.9), 40)
        for segment in ("*", "code")
        for system, value in (("delta", 0.2), ("bm25", 0.3), ("incumbent", 0.4), ("candidate", 0.6))
    ]
    show(leaderboard_view.tables(select(figures, None)))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:6]] == [
        "*", "system", "candidate", "incumbent", "bm25", "delta",
    ]  # fmt: skip
    assert "+0.200 [+0.100, +0.900]" in lines[5]
    assert {each.segment for each in select(figures, "code").figures} == {"code"}
    with pytest.raises(NothingMeasuredError, match=r"no segment 'docs'.*known: \*, code"):
        select(figures, "docs")
    with pytest.raises(NothingMeasuredError, match="no gate was judged yet"):
        select([], None)


def test_what_is_observed_to_serve_is_told_with_its_place_and_time(
    capsys: pytest.CaptureFixture[str],
) -> None:
    served = [
        ServedLine("shop", "m1", "2026-01-01T08:00:00+00:00", "2026-01-02T09:30:00+00:00", 7, True)
    ]
    line = RegistryLine("m2", "base", serving=True)
    show(registry_view.tables(registry_view.Models("m", "base", "m2", [line], served)))
    text = capsys.readouterr().out
    assert "shop" in text
    assert "2026-01-01 08:00" in text
    assert "m2 is promoted and not observed" in text
    for known, said in (([], "no retrieval names a model"), (None, "not known (no ClickHouse)")):
        show(
            registry_view.tables(
                registry_view.Models("m", "base", "m2", [line], known, "no ClickHouse")
            )
        )
        assert said in capsys.readouterr().out
