"""Models are named by their content, and what serves changes in one step."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from pydantic import ValidationError
from tests.rigs.trainer_world import NOON

from ragwheel.models.manifest import Manifest, OfSides, TrainConfig
from ragwheel.models.registry import ModelRegistry, NotApplicableError, RegistryError


def manifest(seed: int = 1) -> Manifest:
    return Manifest(
        lane="query", base_model="base", base_fingerprint="f", document_fingerprint="f",
        dimension=2,
        sides=OfSides(), snapshot_id="s", config=TrainConfig(), seed=seed, versions={}, data={},
        training={},
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
        registry.rollback("slow", NOON)


def test_promotion_and_rollback_walk_one_line(registry: ModelRegistry, tmp_path: Path) -> None:
    first, second = add(registry, "one"), add(registry, "two")
    registry.promote(first, "better", NOON, measured=None)
    registry.promote(second, "better still", NOON, measured=first)
    elsewhere = ModelRegistry(tmp_path / "registry")
    current = elsewhere.current()
    assert current is not None
    assert current.model_id == second
    assert [each.reason for each in elsewhere.promotions()] == ["better", "better still"]
    assert registry.rollback("slow", NOON) == (second, first)
    assert registry.rollback("slow", NOON) == (first, None)
    assert elsewhere.current() is None


def test_rollback_works_when_the_bad_model_is_gone(registry: ModelRegistry, tmp_path: Path) -> None:
    first, second = add(registry, "one"), add(registry, "two")
    registry.promote(first, "", NOON, measured=None)
    registry.promote(second, "", NOON, measured=first)
    (tmp_path / "registry" / "models" / second / "manifest.json").unlink()
    assert registry.rollback("slow", NOON) == (second, first)


def test_a_verdict_against_another_model_than_serves_is_not_applied(
    registry: ModelRegistry,
) -> None:
    first, second = add(registry, "one"), add(registry, "two")
    registry.promote(first, "better", NOON, measured=None)
    with pytest.raises(NotApplicableError, match=f"measured against the base model, and {first}"):
        registry.promote(second, "better", NOON, measured=None)
    assert registry.current_id() == first


def test_the_same_promotion_twice_is_one(registry: ModelRegistry) -> None:
    model_id = add(registry)
    for _ in range(2):
        registry.promote(model_id, "better", NOON, measured=None)
    assert len(registry.promotions()) == 1


def test_what_was_rolled_back_stays_so_until_a_person_allows_it(registry: ModelRegistry) -> None:
    model_id = add(registry)
    registry.promote(model_id, "better", NOON, measured=None)
    registry.rollback("slow", NOON)
    with pytest.raises(NotApplicableError, match=rf"slow.*models allow {model_id}"):
        registry.promote(model_id, "better", NOON, measured=None)
    registry.allow(model_id)
    registry.promote(model_id, "better", NOON, measured=None)
    assert registry.current_id() == model_id
    with pytest.raises(RegistryError, match=r"not held back \(held: none\)"):
        registry.allow(model_id)


def test_a_training_that_diverged_has_no_manifest(registry: ModelRegistry) -> None:
    with pytest.raises(ValidationError, match="finite"):
        manifest().model_validate({**manifest().model_dump(), "training": {"last_loss": math.nan}})


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
        registry.promote(model.model_id, "", NOON, measured=None)
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
