"""What is removed by policy, and what never is."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.rigs.trainer_world import NOON
from tests.unit.models.test_registry import add
from tests.unit.models.test_vectors import HashEncoder

from ragwheel.models.manifest import MANIFEST_FILE
from ragwheel.models.pruning import PruningPolicy, prunable_models, prunable_vectors, prune
from ragwheel.models.registry import ModelRegistry
from ragwheel.models.vectors import VectorCache


def test_what_serves_or_served_and_what_is_needed_and_the_newest_are_kept(tmp_path: Path) -> None:
    registry = ModelRegistry(tmp_path)
    models = [add(registry, f"weights {number}") for number in range(8)]
    for age, model_id in enumerate(models):
        os.utime(tmp_path / "models" / model_id / MANIFEST_FILE, (age, age))
    registry.promote(models[0], "first", NOON, measured=None)
    registry.promote(models[2], "second", NOON, measured=models[0])
    assert prunable_models(registry, keep=2, needed=[models[4]]) == [
        models[1], models[3], models[5],
    ]  # fmt: skip
    policy = PruningPolicy(models=2, vectors_days=30)
    shown = prune(registry, tmp_path / "vectors", NOON, policy, [models[4]], dry_run=True)
    assert len(registry.ids()) == 8, "nothing goes in a dry run"
    assert prune(registry, tmp_path / "vectors", NOON, policy, [models[4]]) == shown
    assert registry.ids() == sorted(models[each] for each in (0, 2, 4, 6, 7))
    assert registry.rollback("slow", NOON) == (models[2], models[0])
    assert prunable_models(registry, keep=9, needed=[]) == []


def test_vectors_that_nobody_asked_for_are_old(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    cache = VectorCache(tmp_path)
    cache.embed(HashEncoder("model-1"), ["a text"])
    [first] = tmp_path.iterdir()
    cache.embed(HashEncoder("model-2"), ["a text"])
    [second] = set(tmp_path.iterdir()) - {first}
    assert prunable_vectors(tmp_path, now, unused_days=30) == []
    cache.embed(HashEncoder("model-1"), ["a text"])
    old = (now - timedelta(days=31)).timestamp()
    os.utime(second / "used", (old, old))
    assert prunable_vectors(tmp_path, now, unused_days=30) == [second]
