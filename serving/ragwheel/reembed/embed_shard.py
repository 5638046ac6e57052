"""Texts of a shard to vectors: the one function that every runner calls, wherever it runs."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ragwheel.models.encoder import Encoder, VectorError, Vectors
from ragwheel.reembed.states import ReembedRefusedError


@dataclass(frozen=True, slots=True)
class ShardTask:
    """What is sent to whoever embeds.

    Attributes:
        fingerprint: of the encoder that the build is of.
        texts: different ones.
    """

    fingerprint: str
    texts: Sequence[str]


@dataclass(frozen=True, slots=True)
class EmbeddedTexts:
    """What comes back.

    Attributes:
        vectors: shape (texts, dimension), unit length; zero where it failed.
        failed: rows without a vector, with the reason.
        arithmetic: with which they were computed.
        seconds: of embedding.
    """

    vectors: Vectors
    failed: Mapping[int, str]
    arithmetic: str
    seconds: float


def embed_shard(encoder: Encoder, task: ShardTask) -> EmbeddedTexts:
    """Vectors of a shard's texts; a text that the model cannot embed costs that text alone.

    Raises:
        ReembedRefusedError: the encoder is another than the build's.
    """
    if encoder.fingerprint != task.fingerprint:
        raise ReembedRefusedError(
            f"what was loaded makes vectors of {encoder.fingerprint}, and the build is of "
            f"{task.fingerprint}: the model, its prompts or its length changed since the plan; "
            "restore them, or abort and plan again"
        )
    began = time.perf_counter()
    failed: dict[int, str] = {}
    if not task.texts:
        vectors = np.zeros((0, encoder.dimension), np.float32)
    else:
        try:
            vectors = encoder.encode(task.texts, "document")
        except VectorError:
            vectors = _one_by_one(encoder, task.texts, failed)
    return EmbeddedTexts(vectors, failed, encoder.arithmetic, time.perf_counter() - began)


def _one_by_one(encoder: Encoder, texts: Sequence[str], failed: dict[int, str]) -> Vectors:
    vectors = np.zeros((len(texts), encoder.dimension), np.float32)
    for row, text in enumerate(texts):
        try:
            vectors[row] = encoder.encode([text], "document")[0]
        except VectorError:
            failed[row] = "the model makes no usable vector of it"
    return vectors
