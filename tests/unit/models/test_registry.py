"""Models are named by their content, and what serves changes in one step."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.rigs.trainer_world import NOON

from ragwheel.models.manifest import Manifest, TrainConfig
from ragwheel.models.registry import ModelRegistry, RegistryError


def manifest(seed: int = 1) -> Manifest:
    return Manifest(
        lane="query", base_model="base", base_fingerprint="f", document_fingerprint="f",
        snapshot_id="s", config=TrainConfig(), seed=seed, versions={}, data={}, training={},
    )  # fmt: skip


def write(content: str) -> object:
    def save(folder: Path) -> None:
        (folder / "1_Pooling").mkdir(parents=True)
        (folder / "model.safetensors").write_text(content)
        (folder / "1_Pooling" / "config.json").write_text("{}")

    return save


@pytest.fixture
def registry(tmp_path: Path) -> ModelRegistry:
    return ModelRegistry(tmp_path / "registry")


def add(registry: ModelRegistry, content: str = "weights", seed: int = 1) -> str:
    return registry.register(manifest(seed), write(content)).model_id  # type: ignore[arg-type]


def test_equal_content_is_one_model_and_any_difference_is_another(registry: ModelRegistry) -> None:
    assert add(registry) == add(registry)
    assert len({add(registry), add(registry, "other weights"), add(registry, seed=2)}) == 3
    assert len(registry.ids()) == 3


def test_a_failed_save_leaves_nothing_behind(registry: ModelRegistry, tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        folder.mkdir()
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        registry.register(manifest(), fail)
    assert list((tmp_path / "registry" / "models").iterdir()) == []
    assert registry.ids() == []


def test_nothing_promoted_means_the_base_model_serves(registry: ModelRegistry) -> None:
    add(registry)
    assert registry.current() is None
    with pytest.raises(RegistryError, match="nothing to roll back"):
        registry.rollback()


def test_promotion_and_rollback_walk_one_line(registry: ModelRegistry, tmp_path: Path) -> None:
    first, second = add(registry, "one"), add(registry, "two")
    registry.promote(first, "better", NOON)
    registry.promote(second, "better still", NOON)
    elsewhere = ModelRegistry(tmp_path / "registry")
    current = elsewhere.current()
    assert current is not None
    assert current.model_id == second
    assert [each.reason for each in elsewhere.promotions()] == ["better", "better still"]
    assert registry.rollback() == (second, first)
    assert registry.rollback() == (first, None)
    assert elsewhere.current() is None


def test_rollback_works_when_the_bad_model_is_gone(registry: ModelRegistry, tmp_path: Path) -> None:
    first, second = add(registry, "one"), add(registry, "two")
    registry.promote(first, "", NOON)
    registry.promote(second, "", NOON)
    (tmp_path / "registry" / "models" / second / "manifest.json").unlink()
    assert registry.rollback() == (second, first)


@pytest.mark.parametrize("change", ["byte", "added", "removed"])
def test_a_model_that_was_changed_on_disk_is_not_promoted(
    registry: ModelRegistry, change: str
) -> None:
    model = registry.get(add(registry))
    weights = model.query_encoder / "model.safetensors"
    if change == "byte":
        weights.write_text("Weights")
    elif change == "added":
        (model.query_encoder / "extra").write_text("")
    else:
        weights.unlink()
    with pytest.raises(RegistryError, match="changed on disk"):
        registry.promote(model.model_id, "", NOON)
    assert registry.current() is None


def test_an_unknown_model_is_named_with_the_known_ones(registry: ModelRegistry) -> None:
    known = add(registry)
    with pytest.raises(RegistryError, match=rf"'nope'.*{known}"):
        registry.get("nope")


def test_reports_are_kept_beside_the_model_and_do_not_change_it(registry: ModelRegistry) -> None:
    model_id = add(registry)
    assert registry.report(model_id) is None
    registry.save_report(model_id, {"verdict": "promoted"})
    assert registry.report(model_id) == {"verdict": "promoted"}
    registry.verify(model_id)


def test_the_manifest_survives_the_disk(registry: ModelRegistry) -> None:
    assert registry.get(add(registry, seed=9)).manifest == manifest(9)
