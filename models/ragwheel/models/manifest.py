"""What a model folder says about itself."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

MANIFEST_FILE = "manifest.json"


class TrainConfig(BaseModel):
    """Everything that decides the result of a training besides data, base model and seed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: int = Field(default=3, ge=1, description="Passes over the examples.")
    batch_size: int = Field(default=128, ge=2, description="Queries per step.")
    learning_rate: float = Field(
        default=1e-4, gt=0, description="Peak; linear warm-up, linear decay."
    )
    warmup_share: float = Field(default=0.1, ge=0, lt=1, description="Share of steps that warm up.")
    weight_decay: float = Field(default=0.01, ge=0)
    max_gradient_norm: float = Field(default=1.0, gt=0)
    similarity_scale: float = Field(
        default=30.0,
        gt=0,
        description="Cosines are multiplied by it before the softmax (1/temperature).",
    )
    hard_negative_weight: float = Field(
        default=4.0, ge=1, description="Weight of a grade-0 candidate against a background chunk."
    )
    max_seq_length: int = Field(default=128, ge=16, description="Tokens per text.")
    background_chunks: int = Field(
        default=50_000,
        ge=1,
        description="In a larger corpus a sample of so many chunks stands in the softmax for all "
        "that no example names; those that are named all take part.",
    )


class OfSides(BaseModel):
    """How a model treats each side."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    query_prompt: str = Field(default="", description="Put before each query.")
    document_prompt: str = Field(default="", description="Put before each document.")
    query_length: int | None = Field(
        default=None, description="Tokens that are read of a query; none: all."
    )
    document_length: int | None = Field(
        default=None, description="Tokens that are read of a document; none: all."
    )


class Manifest(BaseModel):
    """Origin of a model: enough to make it again and to explain each vector it serves.

    Holds no time of day: equal data, configuration and seed make an equal manifest.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[2] = 2
    kind: Literal["bi-encoder"] = "bi-encoder"
    lane: str = Field(description="What was trained; `query` is the query side alone.")
    base_model: str
    base_fingerprint: str
    document_fingerprint: str = Field(
        description="Encoder of the documents that queries of this model are compared with."
    )
    dimension: int = Field(ge=1, description="Length of its vectors.")
    sides: OfSides = Field(description="Prompts and lengths in force of both sides.")
    snapshot_id: str
    config: TrainConfig
    seed: int
    versions: dict[str, str]
    data: dict[str, Any] = Field(description="The data card of the snapshot.")
    training: dict[str, FiniteFloat] = Field(
        description="Steps, mean loss of the first and the last epoch, and the share that was "
        "kept. A training that diverged has no manifest: NaN cannot be read back from JSON."
    )
