"""Who competes at a gate, and what it costs to let them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.rigs.trainer_world import World, save_base_model

from ragwheel.models.encoder import Encoder, Side
from ragwheel.models.manifest import TrainConfig
from ragwheel.models.registry import ModelRegistry
from ragwheel.models.vectors import Estimate, VectorCache
from ragwheel.schemas.settings import TrainerSettings
from ragwheel.trainers.systems import lineup
from ragwheel.trainers.systems.lineup import line_up


class Priced(VectorCache):
    """A cache on a machine that needs this long."""

    def __init__(self, folder: Path, seconds: float) -> None:
        super().__init__(folder)
        self._seconds = seconds

    def estimate(
        self, encoder: Encoder, texts: Sequence[str], *, side: Side = "document"
    ) -> Estimate:
        return Estimate(1_000, 100_000, self._seconds)


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (600.0, ["embedding 1,000 new texts, 100,000 tokens: about 10 minutes of one process on "
                 "this machine, shared by 2"]),
        (59.0, []),
    ],
)  # fmt: skip
def test_a_long_embedding_says_its_price_first(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, seconds: float, told: list[str]
) -> None:
    monkeypatch.setattr(lineup, "_WORTH_ASKING", 1)
    base_model = save_base_model(tmp_path / "base")
    chunks = {"a" * 32: "code1 code2", "b" * 32: "code3 code4"}
    corpus = World(chunks, [], {}, []).corpus()
    settings = TrainerSettings(model_dir=tmp_path, base_model=base_model, embed_workers=2)
    said: list[str] = []
    line_up(
        settings, TrainConfig(), ModelRegistry(tmp_path), Priced(tmp_path / "vectors", seconds),
        corpus, [], lambda done, total: said.append("embedding has begun"), said.append,
    )  # fmt: skip
    assert [each for each in said if "begun" not in each] == told
    assert said[: len(told)] == told
