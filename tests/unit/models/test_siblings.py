"""A model of the same make is the same however it was loaded, and leaves the other alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.rigs.trainer_world import save_base_model

from ragwheel.models.encoder import TextEncoder, load_encoder
from ragwheel.models.packaged import packaged_model
from ragwheel.models.siblings import load_sibling
from ragwheel.schemas.errors import ConfigError

TEXTS = ["ask1 ask2", "how do I rotate a key?"]


def trained(base: str, folder: Path, by: float) -> Path:
    """What a trainer makes of a base model: other weights, in a folder."""
    encoder = load_encoder(base, 64)
    with torch.no_grad():
        for each in encoder.model.parameters():
            each.mul_(1 + by)
    encoder.save(folder)
    return folder


@pytest.fixture(params=["bag of words", "transformer"])
def base(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "bag of words":
        return save_base_model(tmp_path / "base")
    return str(packaged_model())


def test_a_sibling_is_what_would_have_been_loaded(base: str, tmp_path: Path) -> None:
    one, two = (trained(base, tmp_path / str(n), n / 100) for n in (1, 2))
    known = load_encoder(one, 64)
    before = known.encode(TEXTS, "query")
    sibling, wanted = load_sibling(two, 64, known, one), load_encoder(two, 64)
    assert sibling.fingerprint == wanted.fingerprint != known.fingerprint
    np.testing.assert_array_equal(sibling.encode(TEXTS, "query"), wanted.encode(TEXTS, "query"))
    np.testing.assert_array_equal(known.encode(TEXTS, "query"), before)
    assert sibling.model.tokenizer is known.model.tokenizer, "the quick way was taken"
    assert sibling.again is not None
    assert sibling.again().fingerprint == sibling.fingerprint


@pytest.mark.parametrize("differs", ["tokenizer", "precision", "broken"])
def test_what_differs_in_more_than_weights_is_loaded_as_any_other(
    tmp_path: Path, differs: str
) -> None:
    base = save_base_model(tmp_path / "base")
    one, two = (trained(base, tmp_path / str(n), n / 100) for n in (1, 2))
    known = load_encoder(one, 64)
    weights = two / "model.safetensors"
    if differs == "tokenizer":
        file = two / "tokenizer.json"
        file.write_text(file.read_text().replace('"ask7"', '"asked"'))
    elif differs == "precision":
        encoder = load_encoder(two, 64)
        encoder.model.half()
        encoder.save(two)
    else:
        weights.write_bytes(b"x")
        with pytest.raises(ConfigError, match="cannot be loaded"):
            load_sibling(two, 64, known, one)
        return
    sibling: TextEncoder = load_sibling(two, 64, known, one)
    assert sibling.model.tokenizer is not known.model.tokenizer
    assert sibling.fingerprint == load_encoder(two, 64).fingerprint
