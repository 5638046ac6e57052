"""What a candidate is compared with: the model that production is observed to serve."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.rigs.trainer_world import NOON
from tests.unit.models.test_registry import add

from ragwheel.models.registry import ModelRegistry
from ragwheel.trainers.systems.lineup import _in_service


@pytest.fixture
def registry(tmp_path: Path) -> ModelRegistry:
    return ModelRegistry(tmp_path)


def test_without_an_observation_the_promoted_model_is_the_incumbent(
    registry: ModelRegistry,
) -> None:
    assert _in_service("base", registry, "") == (None, "")
    assert _in_service("base", registry, "base") == (None, "")
    one = add(registry)
    registry.promote(one, "proven", NOON, measured=None)
    for observed in ("", one):
        model, said = _in_service("base", registry, observed)
        assert model is not None
        assert (model.model_id, said) == (one, "")


def test_a_promoted_model_that_is_not_observed_is_not_the_incumbent(
    registry: ModelRegistry,
) -> None:
    one, two = add(registry, "one"), add(registry, "two")
    registry.promote(one, "proven", NOON, measured=None)
    model, said = _in_service("base", registry, "base")
    assert model is None
    assert said == (
        f"compared with base, which production serves: {one} is promoted and not observed"
    )
    registry.promote(two, "proven", NOON, measured=one)
    model, said = _in_service("base", registry, one)
    assert model is not None
    assert model.model_id == one
    assert said.endswith(f"{two} is promoted and not observed")


def test_a_model_of_nobody_is_said_and_not_compared_with(registry: ModelRegistry) -> None:
    one = add(registry)
    registry.promote(one, "proven", NOON, measured=None)
    model, said = _in_service("base", registry, "theirs")
    assert model is not None
    assert model.model_id == one
    assert said == "production serves theirs, which is no model of this registry"
