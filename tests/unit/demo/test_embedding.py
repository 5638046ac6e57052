"""Embedding runs beside other work, can be stopped, and hands on what went wrong."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from tests.rigs.trainer_world import NOON, TruthfulJudge, make_world, save_base_model

from ragwheel.demo.embedding import Embedding, EmbeddingStoppedError
from ragwheel.models import canaries
from ragwheel.models.encoder import Progress, Side, TextEncoder, Tokens, Vectors, load_encoder
from ragwheel.models.manifest import TrainConfig
from ragwheel.models.registry import ModelRegistry
from ragwheel.models.vectors import VectorCache
from ragwheel.schemas.errors import ConfigError
from ragwheel.schemas.settings import TrainerSettings
from ragwheel.trainers.cycle import run_cycle
from ragwheel.trainers.parts import Parts


class Encoder:
    """Vectors of text lengths; can be made to wait between texts."""

    fingerprint = "lengths"
    arithmetic = "fp32"
    dimension = 2

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.began = threading.Event()
        self.go_on = threading.Event()
        self.go_on.set()

    def prompt(self, side: Side) -> str:
        return ""

    def tokens(self, texts: Sequence[str]) -> Tokens:
        return np.array([len(text) for text in texts], np.int64)

    def encode(self, texts: Sequence[str], side: Side, progress: Progress | None = None) -> Vectors:
        done = 0
        for text in texts:
            self.texts.append(text)
            self.began.set()
            assert self.go_on.wait(10)
            done += len(text)
            if progress is not None:
                progress(done, sum(map(len, texts)))
        return np.array([[len(text), 1] for text in texts], np.float32)


@pytest.fixture
def encoder() -> Encoder:
    return Encoder()


def embedding(
    encoder: Encoder, folder: Path, chunks: Sequence[str], queries: Sequence[str]
) -> Embedding:
    return Embedding(lambda: cast("TextEncoder", encoder), VectorCache(folder), chunks, queries)


def test_vectors_come_in_the_order_of_the_texts_and_progress_reaches_the_end(
    encoder: Encoder, tmp_path: Path
) -> None:
    thread = embedding(encoder, tmp_path, ["a", "four", "xx"], ["what?", "WHAT?!", "what?"])
    embedded = thread.result()
    assert embedded.chunks[:, 0].tolist() == [1, 4, 2]
    assert {text: vector[0] for text, vector in embedded.query.items()} == {"what?": 5, "WHAT?!": 6}
    assert (thread.done, thread.total) == (18, 18), "characters here, tokens with a real model"


def test_no_text_is_embedded_twice(encoder: Encoder, tmp_path: Path) -> None:
    for _ in range(2):
        embedding(encoder, tmp_path, ["a", "four"], ["what?"]).result()

    assert sorted(encoder.texts) == ["a", "four", "what?"]


def test_the_trainer_finds_every_chunk_and_query_that_the_demo_embedded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    base = save_base_model(tmp_path / "base")
    world = make_world(base, questions=200, chunks=150)
    settings = TrainerSettings(
        base_model=base,
        model_dir=tmp_path / "models",
        vector_cache_dir=tmp_path / "vectors",
        gate_share=0.3,
        max_seq_length=64,
    )
    embedded: Counter[str] = Counter()
    encode = TextEncoder.encode

    def counted(
        self: TextEncoder,
        texts: Sequence[str],
        side: Side,
        progress: Progress | None = None,
    ) -> Vectors:
        if next(self.model.parameters()).equal(untrained):
            embedded.update(texts)
        return encode(self, texts, side, progress)

    untrained = next(load_encoder(base, 64).model.parameters())
    monkeypatch.setattr(TextEncoder, "encode", counted)
    chunks, queries = world.corpus().texts, [each.query for each in world.sampled_queries()]
    cache = VectorCache(settings.vector_cache_dir)
    Embedding(partial(load_encoder, base, 64), cache, chunks, queries).result()
    parts = Parts(
        store=world,
        judge=TruthfulJudge(world),
        registry=ModelRegistry(settings.model_dir),
        cache=cache,
        publish=lambda event: None,
        now=lambda: NOON,
    )
    result = run_cycle(parts, settings, TrainConfig(epochs=1, max_seq_length=64))

    # Once more, when the lane weighs what it learnt against the base model.
    dev = {each.query for each in result.snapshot.dev}
    for text in (*chunks, *queries):
        assert 1 <= embedded[text] <= 1 + (text in dev), "the base model saw each text once"
    assert embedded.keys() - {*canaries.TEXTS} == {*chunks, *queries}


def test_stopping_ends_it_after_the_batch_under_way(encoder: Encoder, tmp_path: Path) -> None:
    encoder.go_on.clear()
    thread = embedding(encoder, tmp_path, ["a", "four", "xx"], ["what?"])
    assert encoder.began.wait(10)
    stopper = threading.Thread(target=thread.close)
    stopper.start()
    assert thread._cancelled.wait(10)
    encoder.go_on.set()
    stopper.join(10)

    assert thread.over
    assert len(encoder.texts) < 4
    with pytest.raises(EmbeddingStoppedError):
        thread.result()


def test_what_went_wrong_is_raised_where_the_result_is_asked_for(tmp_path: Path) -> None:
    def refuse() -> TextEncoder:
        raise ConfigError("RAGWHEEL_BASE_MODEL: no such model")

    thread = Embedding(refuse, VectorCache(tmp_path), ["a"], ["what?"])

    with pytest.raises(ConfigError, match="RAGWHEEL_BASE_MODEL"):
        thread.result()
