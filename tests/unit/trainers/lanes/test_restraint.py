"""A training is kept as far as dev queries bear it out, down to nothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from tests.rigs.trainer_world import save_base_model

from ragwheel.models.encoder import TextEncoder, Vectors, load_encoder
from ragwheel.trainers.data.examples import Positive, TrainingExample
from ragwheel.trainers.data.records import Corpus
from ragwheel.trainers.lanes.restraint import keep_what_dev_bears_out, weights_of

CHUNKS = [f"code{word}" for word in range(40)]
CORPUS = Corpus(tuple(f"c{number:02d}" for number in range(40)), tuple(CHUNKS))


@pytest.fixture(scope="module")
def base_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_base_model(tmp_path_factory.mktemp("base"))


def example(number: int, belief: float = 1.0) -> TrainingExample:
    others = tuple(f"c{other:02d}" for other in range(40) if other != number)
    return TrainingExample(
        f"q{number}", f"ask{number}", "all", f"q{number}", 1.0,
        (Positive(f"c{number:02d}", 3, belief),), others, (),
    )  # fmt: skip


DEV = [example(number) for number in range(40)]


def moved(base_model: str, by: float) -> tuple[TextEncoder, dict[str, torch.Tensor], Vectors]:
    """An encoder whose questions moved towards their answers, or away from them."""
    encoder = load_encoder(base_model, 64)
    documents = encoder.encode(CHUNKS, "document")
    base = weights_of(encoder)
    with torch.no_grad():
        [table] = encoder.model.parameters()
        code, asked = table[1:151].clone(), table[151:301].clone()
        table[151:301] = asked + by * (code - asked)
    return encoder, base, documents


def kept(base_model: str, by: float, dev: Sequence[TrainingExample] = DEV) -> float:
    encoder, base, documents = moved(base_model, by)
    return keep_what_dev_bears_out(encoder, base, dev, CORPUS, documents)


def test_a_better_model_is_kept_whole(base_model: str) -> None:
    assert kept(base_model, 0.8) == 1.0


def test_of_a_training_that_made_it_worse_nothing_is_kept(base_model: str) -> None:
    encoder, base, documents = moved(base_model, -0.9)
    assert keep_what_dev_bears_out(encoder, base, DEV, CORPUS, documents) == 0.0
    for name, tensor in encoder.model.state_dict().items():
        assert torch.equal(tensor, base[name])


def test_of_a_training_that_went_too_far_a_part_is_kept(base_model: str) -> None:
    assert kept(base_model, 2.5) in (0.25, 0.5)


def test_too_few_dev_queries_bear_out_nothing(base_model: str) -> None:
    assert kept(base_model, 0.8, DEV[:4]) == 0.0


def test_a_model_without_a_difference_gains_nothing(base_model: str) -> None:
    encoder, base, documents = moved(base_model, 0.0)
    before = encoder.encode(["ask1"], "query")
    assert keep_what_dev_bears_out(encoder, base, DEV, CORPUS, documents) >= 0
    np.testing.assert_array_equal(encoder.encode(["ask1"], "query"), before)
