"""`ragwheel train` and `ragwheel models`: what they print."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import orjson

from ragwheel.cli.views.registry import as_json, as_text
from ragwheel.cli.views.verdict import StageLines
from ragwheel.models.manifest import Manifest, TrainConfig
from ragwheel.models.registry import ModelRegistry
from ragwheel.operations.models import RegistryLine, registry_lines
from ragwheel.schemas.settings import TrainerSettings, load


def _register(registry: ModelRegistry, seed: int) -> str:
    manifest = Manifest(
        lane="query",
        base_model="base",
        base_fingerprint="f",
        document_fingerprint="f",
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
    show = StageLines(lines.append, clock=lambda: now)
    for done in range(1, 101):
        now += 0.1
        show("train", done, 100)
    assert lines[0] == "train: 1 of 100 (1%)"
    assert lines[-1] == "train: 100 of 100 (100%)"
    assert 5 <= len(lines) <= 7


def test_models_are_listed_latest_verdict_first_with_the_one_that_serves(tmp_path: Path) -> None:
    registry = ModelRegistry(tmp_path)
    old, new, unjudged = (_register(registry, seed) for seed in range(3))
    registry.save_report(old, _report("2026-01-01T00:00:00+00:00", "promoted", 0.12, 300))
    registry.save_report(new, _report("2026-02-01T00:00:00+00:00", "refused", 0.0, 0))
    registry.promote(old, "proof", datetime(2026, 1, 1, tzinfo=UTC))
    lines = registry_lines(registry)
    assert [line.model_id for line in lines] == [new, old, unjudged]
    assert [line.serving for line in lines] == [False, True, False]
    assert [line.gain for line in lines] == [None, 0.12, None]
    text = as_text(lines, load(TrainerSettings, model_dir=tmp_path))
    assert [line.split()[0] for line in text.splitlines() if old in line] == ["*", "serving:"]
    assert "+0.120" in text
    assert "promoted because" in text
    assert text.count("no verdict") == 1


def test_an_empty_registry_says_what_serves(tmp_path: Path) -> None:
    settings = load(TrainerSettings, model_dir=tmp_path, base_model="the-base")
    assert registry_lines(ModelRegistry(tmp_path)) == []
    assert as_text([], settings) == f"no model in {tmp_path} yet; the base model (the-base) serves"


def test_the_list_is_also_json() -> None:
    line = RegistryLine("id", "base", True, gain=0.5)
    assert orjson.loads(as_json([line]))[0]["gain"] == 0.5
