"""Small models that can be promoted without a training, and the world that a follower sees."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import numpy as np
import torch
from tests.rigs.trainer_world import NOON, save_base_model

from ragwheel.models.artifacts import ArtifactStore
from ragwheel.models.canaries import canary_vectors, write_canaries, write_reference
from ragwheel.models.encoder import TextEncoder, load_encoder
from ragwheel.models.manifest import Manifest, OfSides, TrainConfig
from ragwheel.models.registry import ModelRegistry
from ragwheel.schemas.errors import UnavailableError
from ragwheel.schemas.events import ModelEvent
from ragwheel.schemas.identity import content_hash, digest
from ragwheel.schemas.settings import FollowSettings
from ragwheel.serving.follow import ModelFollower
from ragwheel.trainers.settle import Decision, Settlement


@dataclass
class DeclaredHere:
    """What indexes declare; None: ClickHouse does not answer."""

    fingerprint: str | None = ""

    def fingerprint_of(self, index: str) -> str:
        if self.fingerprint is None:
            raise UnavailableError("ClickHouse does not answer")
        return self.fingerprint


@dataclass
class Promoting:
    """A trainer's side: models, an artifact store of its own, and what it promotes.

    Attributes:
        events: what Kafka was told.
        minutes: decisions are a minute apart.
    """

    folder: Path
    base: str
    events: list[ModelEvent] = field(default_factory=list)
    minutes: int = 0

    @classmethod
    def at(cls, folder: Path) -> Promoting:
        return cls(folder, save_base_model(folder / "base"))

    @property
    def registry(self) -> ModelRegistry:
        return ModelRegistry(self.folder / "trainer")

    @property
    def store(self) -> ArtifactStore:
        return ArtifactStore(str(self.folder / "artifacts"))

    def encoder(self) -> TextEncoder:
        return load_encoder(self.base, 64)

    def train(self, seed: int, *, base: str = "", canaries_of: int | None = None) -> str:
        """A model that understands askers otherwise; with canaries of another one, if asked."""
        base_encoder = load_encoder(base or self.base, 64)
        encoder = load_encoder(base or self.base, 64)
        _shift(encoder, seed)
        told = encoder
        if canaries_of is not None:
            told = load_encoder(base or self.base, 64)
            _shift(told, canaries_of)
        corpus = [f"code{n} code{n + 1} code{n + 2}" for n in range(120)]
        manifest = Manifest(
            lane="query", base_model=base or self.base, base_fingerprint=base_encoder.fingerprint,
            document_fingerprint=base_encoder.fingerprint, dimension=base_encoder.dimension,
            sides=OfSides(),
            snapshot_id="s", config=TrainConfig(max_seq_length=64), seed=seed, versions={},
            data={}, training={},
        )  # fmt: skip

        def beside(folder: Path) -> None:
            write_canaries(
                folder, canary_vectors(told, "query"), canary_vectors(base_encoder, "document")
            )
            documents = base_encoder.encode(corpus, "document")
            write_reference(folder, [content_hash(text) for text in corpus], documents, seed)

        return self.registry.register(manifest, encoder.save, beside).model_id

    def settlement(self) -> Settlement:
        return Settlement(self.registry, self.events.append, self.store)

    def promote(self, model_id: str) -> None:
        event = self._event(model_id, "promoted", "")
        self.settlement().settle(Decision(event=event, measured=self.registry.current_id()))
        assert self.registry.current_id() == model_id

    def roll_back(self) -> None:
        line = [each.model_id for each in self.registry.promotions()]
        serving = line[-2] if len(line) > 1 else self.base
        self.settlement().settle(Decision(event=self._event(line[-1], "rolled_back", serving)))

    def shadow(self, model_id: str) -> None:
        self.settlement().settle(Decision(event=self._event(model_id, "shadow", "")))

    def settings(self, **changes: object) -> FollowSettings:
        known = {
            "base_model": self.base, "max_seq_length": 64, "serving_dir": self.folder / "server",
            "artifacts": str(self.folder / "artifacts"), "model_dir": self.folder / "none",
        }  # fmt: skip
        return FollowSettings(**(known | changes))  # type: ignore[arg-type]

    def follower(self, declared: DeclaredHere | None = None, **changes: object) -> ModelFollower:
        """A follower of the pointer alone, whose looks are the test's."""
        declared = declared or DeclaredHere(self.encoder().fingerprint)
        return ModelFollower(
            self.settings(**changes), declarations=declared, listen=False, look_s=3_600
        )

    def _event(self, model_id: str, action: str, incumbent: str) -> ModelEvent:
        self.minutes += 1
        return ModelEvent(
            event_id=digest("test", model_id, action, str(self.minutes)), model_id=model_id,
            incumbent_id=incumbent, base_model=self.base, action=action,  # type: ignore[arg-type]
            reason="test", ts=NOON + timedelta(minutes=self.minutes),
            uri=self.store.url_of(model_id),
        )  # fmt: skip


def _shift(encoder: TextEncoder, seed: int) -> None:
    random = torch.from_numpy(
        np.random.default_rng(seed)
        .standard_normal(tuple(next(encoder.model.parameters()).shape))
        .astype(np.float32)
    )
    with torch.no_grad():
        next(encoder.model.parameters()).add_(random)
