"""A model that answers otherwise than it was registered with is recognised."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.rigs.trainer_world import save_base_model

from ragwheel.models import canaries
from ragwheel.models.canaries import (
    CanaryError,
    Reference,
    answers,
    read_canaries,
    read_reference,
    require_agreement,
    write_canaries,
    write_reference,
)
from ragwheel.models.encoder import Side, TextEncoder, Vectors, load_encoder


@pytest.fixture
def encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TextEncoder:
    # In the words of the small world, whose model knows no others.
    texts = tuple(f"code{n} ask{n} code{n + 1}" for n in range(32))
    monkeypatch.setattr(canaries, "TEXTS", texts)
    return load_encoder(save_base_model(tmp_path / "base"), 64)


def stored(folder: Path, encoder: TextEncoder) -> None:
    vectors = [canaries.canary_vectors(encoder, side) for side in canaries.SIDES]
    write_canaries(folder, vectors[0], vectors[1])


def found(query: TextEncoder, document: TextEncoder) -> dict[Side, Vectors]:
    return {"query": answers(query, "query"), "document": answers(document, "document")}


def test_there_are_32_different_texts() -> None:
    assert len(set(canaries.TEXTS)) == len(canaries.TEXTS) == 32


def test_equal_models_make_equal_files(tmp_path: Path, encoder: TextEncoder) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        stored(tmp_path / name, encoder)
    one, two = ((tmp_path / name / "canaries.npz").read_bytes() for name in ("one", "two"))
    assert one == two
    assert require_agreement(read_canaries(tmp_path / "one"), found(encoder, encoder), "m") > 0.9999


@pytest.mark.parametrize("side", ["query", "document"])
def test_other_weights_of_the_same_dimension_are_named(
    tmp_path: Path, encoder: TextEncoder, side: str
) -> None:
    stored(tmp_path, encoder)
    other = load_encoder(save_base_model(tmp_path / "other", seed=7), 64)
    assert other.dimension == encoder.dimension
    pair = (other, encoder) if side == "query" else (encoder, other)
    with pytest.raises(CanaryError, match=f"m embeds the {side} .* otherwise"):
        require_agreement(read_canaries(tmp_path), found(*pair), "m")


def test_one_changed_word_is_enough(tmp_path: Path, encoder: TextEncoder) -> None:
    stored(tmp_path, encoder)
    word = encoder.model.tokenizer.get_vocab()["code9"]
    with torch.no_grad():
        next(encoder.model.parameters())[word] *= -1
    with pytest.raises(CanaryError):
        require_agreement(read_canaries(tmp_path), found(encoder, encoder), "m")


def test_missing_or_foreign_canaries_are_no_canaries(tmp_path: Path) -> None:
    with pytest.raises(CanaryError, match="cannot be read"):
        read_canaries(tmp_path)
    write_canaries(tmp_path, np.zeros((3, 4), np.float32), np.zeros((3, 4), np.float32))
    with pytest.raises(CanaryError, match="of other texts"):
        read_canaries(tmp_path)


def test_a_reference_is_a_sample_that_is_drawn_again_alike(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    vectors = random.standard_normal((2_500, 4)).astype(np.float32)
    hashes = [f"{row:032x}" for row in range(len(vectors))]
    made = []
    for seed in (1, 2, 2):
        write_reference(tmp_path, hashes, vectors, seed)
        made.append((tmp_path / "reference.npz").read_bytes())
    assert made[0] != made[1] == made[2]
    reference = read_reference(tmp_path)
    assert reference is not None
    assert reference.vectors.shape == (2_000, 4)
    rows = [int(each.tobytes().hex(), 16) for each in reference.hashes]
    assert rows == sorted(set(rows))
    np.testing.assert_array_equal(reference.vectors, vectors[rows])
    assert read_reference(tmp_path / "nowhere") is None


def test_overlap_is_the_share_of_common_first_documents() -> None:
    reference = Reference(np.zeros((40, 16), np.uint8), np.eye(40, dtype=np.float32))

    def first(*rows: int) -> Vectors:
        vector = np.zeros((1, 40), np.float32)
        vector[0, list(rows)] = 1
        return vector

    ours, theirs = first(*range(10)), first(*range(5, 15))
    assert reference.overlap(ours, ours).tolist() == [1.0]
    assert reference.overlap(ours, theirs).tolist() == [0.5]
    assert reference.overlap(ours, first(*range(20, 30))).tolist() == [0.0]
