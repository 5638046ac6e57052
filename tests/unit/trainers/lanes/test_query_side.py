"""The query lane: what it moves, what it leaves alone, and that it can be repeated."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from tests.rigs.trainer_world import save_base_model

from ragwheel.models.encoder import TextEncoder, Vectors, load_encoder
from ragwheel.models.manifest import TrainConfig
from ragwheel.trainers.data.examples import TrainingExample
from ragwheel.trainers.data.records import Corpus
from ragwheel.trainers.lanes import query_side
from ragwheel.trainers.lanes.query_side import TrainingSummary, train_query_side

CHUNKS = [f"code{word} code{word + 1}" for word in range(40)]
CORPUS = Corpus(tuple(f"c{number:02d}" for number in range(40)), tuple(CHUNKS))
CONFIG = TrainConfig(epochs=40, learning_rate=0.3, batch_size=4, max_seq_length=64)


@pytest.fixture(scope="module")
def base_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_base_model(tmp_path_factory.mktemp("base"))


def example(
    number: int,
    positives: dict[int, int],
    negatives: Sequence[int] = (),
    ignored: Sequence[int] = (),
) -> TrainingExample:
    return TrainingExample(
        f"q{number}", f"ask{number}", "all",
        tuple((f"c{chunk:02d}", grade) for chunk, grade in positives.items()),
        tuple(f"c{chunk:02d}" for chunk in negatives),
        tuple(f"c{chunk:02d}" for chunk in ignored),
    )  # fmt: skip


def train(
    base_model: str,
    examples: Sequence[TrainingExample],
    config: TrainConfig = CONFIG,
    seed: int = 3,
) -> tuple[TextEncoder, Vectors, TrainingSummary]:
    encoder = load_encoder(base_model, 64)
    documents = load_encoder(base_model, 64).encode(CHUNKS, "document")
    summary = train_query_side(encoder, examples, CORPUS, documents, config, seed)
    return encoder, documents, summary


def scores(encoder: TextEncoder, documents: Vectors, number: int) -> Vectors:
    return np.asarray(documents @ encoder.encode([f"ask{number}"], "query")[0], np.float32)


def test_positives_rise_and_hard_negatives_fall(base_model: str) -> None:
    data = [example(number, {number + 20: 3}, negatives=[number]) for number in range(8)]
    before = load_encoder(base_model, 64)
    after, documents, summary = train(base_model, data)
    for number in range(8):
        old, new = scores(before, documents, number), scores(after, documents, number)
        assert new[number + 20] > old[number + 20]
        assert new[number] < new[number + 20]
    assert summary.last_loss < summary.first_loss
    assert summary.steps == 40 * 2


def test_the_documents_are_not_touched(base_model: str) -> None:
    _, documents, _ = train(base_model, [example(1, {2: 3})])
    np.testing.assert_array_equal(
        documents, load_encoder(base_model, 64).encode(CHUNKS, "document")
    )


def test_each_kind_of_chunk_has_its_place_in_the_loss() -> None:
    position = {chunk: column for column, chunk in enumerate(CORPUS.chunk_hashes)}
    batch = [example(1, {4: 3, 9: 2}, negatives=[5, 6], ignored=[7]), example(2, {0: 2})]
    weights, bias = query_side._targets(batch, position, 40, hard_weight=4.0)
    assert weights.sum(dim=1).tolist() == pytest.approx([1, 1])
    assert weights[0, [4, 9]].tolist() == pytest.approx([7 / 10, 3 / 10])
    assert weights[1, 0] == 1
    share = torch.softmax(bias, dim=1)[0]
    # An irrelevant result weighs four chunks of the background; an ignored one nothing.
    assert float(share[5] / share[20]) == pytest.approx(4)
    assert float(share[7]) == 0
    assert float(share[4] / share[20]) == pytest.approx(1)


def test_a_higher_grade_pulls_harder(base_model: str) -> None:
    encoder, documents, _ = train(base_model, [example(5, {20: 3, 30: 2})])
    found = scores(encoder, documents, 5)
    assert found[20] > found[30] > np.sort(found)[-4]


def test_equal_seeds_make_equal_weights_and_others_do_not(base_model: str) -> None:
    data = [example(number, {number + 9: 3}) for number in range(12)]
    first, second = (train(base_model, data)[0].fingerprint for _ in range(2))
    assert first == second
    assert train(base_model, data, seed=4)[0].fingerprint != first


def test_a_large_corpus_is_sampled_around_what_the_examples_name(
    base_model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    softmax = torch.log_softmax

    def watch(values: torch.Tensor, dim: int) -> torch.Tensor:
        seen.append(values.shape[1])
        return softmax(values, dim=dim)

    monkeypatch.setattr(torch, "log_softmax", watch)
    config = CONFIG.model_copy(update={"background_chunks": 10, "epochs": 1})
    train(base_model, [example(1, {30: 3}, negatives=[2], ignored=[3])], config)
    assert seen == [13]


def test_progress_counts_steps_and_may_stop_the_training(base_model: str) -> None:
    def stop(done: int, total: int) -> None:
        assert total == 40
        if done == 3:
            raise InterruptedError

    encoder = load_encoder(base_model, 64)
    documents = encoder.encode(CHUNKS, "document")
    with pytest.raises(InterruptedError):
        train_query_side(encoder, [example(1, {2: 3})], CORPUS, documents, CONFIG, 0, stop)


def test_the_learning_rate_rises_and_falls_to_nothing() -> None:
    factor = query_side._linear(10, 0.2)
    assert [round(factor(step), 3) for step in range(10)] == [
        0.5, 1.0, 1.0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125,
    ]  # fmt: skip
