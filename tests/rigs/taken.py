"""Sides of a registered model, to export: a small real transformer, and a report of a gate."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from ragwheel.models.encoder import Side, TextEncoder, load_encoder
from ragwheel.models.exports.taken import TakenSide
from ragwheel.models.manifest import Manifest, OfSides, TrainConfig
from ragwheel.models.packaged import packaged_model

PROMPTS: dict[Side, str] = {"query": "query: ", "document": "passage: "}
LENGTH = 64
TEXTS = [
    "how do I rotate a key?",
    "Grüße, 你好 — naïve café",
    "def parse(text: str) -> dict: return json.loads(text)",
    "the quick brown fox jumps over the lazy dog " * 20,
    "x",
]
REPORT: dict[str, Any] = {
    "model_id": "39d406a672658e55",
    "incumbent_id": "sentence-transformers/all-MiniLM-L6-v2@c9745ed1",
    "at": "2026-11-20T10:00:00+00:00",
    "verdict": {
        "action": "promoted",
        "reason": "recall@10 +8.8 points (lower 95% bound +6.4) on 764 held-out queries",
        "worse_segments": [],
    },
    "figures": [
        {
            "metric": "recall", "k": 10, "segment": "*", "system": system,
            "interval": {"value": value, "low": value - 0.03, "high": value + 0.03},
            "queries": 764,
        }
        for system, value in (("incumbent", 0.75), ("candidate", 0.838), ("delta", 0.088))
    ],
}  # fmt: skip


def base_name() -> str:
    """Folder of the base model that comes as a package."""
    folder = packaged_model()
    assert folder is not None
    return str(folder)


@cache
def base_encoder() -> TextEncoder:
    """MiniLM with prompts and a short length; loaded once, shared, never trained."""
    encoder = load_encoder(base_name(), LENGTH, PROMPTS)
    encoder.model.to("cpu")
    return encoder


def taken_side(folder: Path, side: Side = "query", **changes: Any) -> TakenSide:
    """A side whose encoder is in `folder`; written there if it is empty."""
    encoder = base_encoder()
    if not folder.exists():
        encoder.save(folder)
    manifest = Manifest(
        lane="query",
        base_model=base_name(),
        base_fingerprint=encoder.fingerprint,
        document_fingerprint=encoder.fingerprint,
        dimension=encoder.dimension,
        sides=OfSides(),
        snapshot_id="3f2a",
        config=TrainConfig(max_seq_length=LENGTH),
        seed=17,
        versions={"torch": "2"},
        data={"queries": {"train": 900}, "graders": ["labeler@1"], "triplets": 12_000},
        training={"steps": 3.0},
    )
    known: dict[str, Any] = {"report": REPORT, **changes}
    return TakenSide("39d406a672658e55", side, manifest, known["report"], folder)
