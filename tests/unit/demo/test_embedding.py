"""Embedding runs beside other work, can be stopped, and hands on what went wrong."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from ragwheel.demo import embedding as demo
from ragwheel.demo.embedding import Embedding, EmbeddingStoppedError
from ragwheel.models.encoder import Progress, Vectors
from ragwheel.schemas.errors import ConfigError


class Encoder:
    """Vectors of text lengths; can be made to wait between texts."""

    fingerprint = "lengths"
    dimension = 2

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.began = threading.Event()
        self.go_on = threading.Event()
        self.go_on.set()

    def encode(
        self, texts: Sequence[str], prompt: str = "", progress: Progress | None = None
    ) -> Vectors:
        for number, text in enumerate(texts, 1):
            self.texts.append(text)
            self.began.set()
            assert self.go_on.wait(10)
            if progress is not None:
                progress(number, len(texts))
        return np.array([[len(text), 1] for text in texts], np.float32)


@pytest.fixture
def encoder(monkeypatch: pytest.MonkeyPatch) -> Encoder:
    one = Encoder()
    monkeypatch.setattr(demo, "load_encoder", lambda name, length: one)
    return one


def embedding(folder: Path, chunks: Sequence[str], questions: Sequence[str]) -> Embedding:
    return Embedding("base", 128, folder, chunks, questions)


def test_vectors_come_in_the_order_of_the_texts_and_progress_reaches_the_end(
    encoder: Encoder, tmp_path: Path
) -> None:
    thread = embedding(tmp_path, ["a", "four", "xx"], ["what?"])
    thread.start()
    thread.join(10)

    _, chunks, questions = thread.result()
    assert chunks[:, 0].tolist() == [1, 4, 2]
    assert questions[:, 0].tolist() == [5]
    assert (thread.done, thread.total) == (4, 4)


def test_the_trainer_finds_the_chunks_in_its_cache(encoder: Encoder, tmp_path: Path) -> None:
    for _ in range(2):
        thread = embedding(tmp_path, ["a", "four"], ["what?"])
        thread.start()
        thread.join(10)

    assert sorted(encoder.texts) == ["a", "four", "what?", "what?"], "chunks once"


def test_stopping_ends_it_after_the_batch_under_way(encoder: Encoder, tmp_path: Path) -> None:
    encoder.go_on.clear()
    thread = embedding(tmp_path, ["a", "four", "xx"], ["what?"])
    thread.start()
    assert encoder.began.wait(10)
    stopper = threading.Thread(target=thread.stop)
    stopper.start()
    assert thread._cancelled.wait(10)
    encoder.go_on.set()
    stopper.join(10)

    assert not thread.is_alive()
    assert len(encoder.texts) < 4
    with pytest.raises(EmbeddingStoppedError):
        thread.result()


def test_what_went_wrong_is_raised_where_the_result_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(name: str, length: int) -> Encoder:
        raise ConfigError("RAGWHEEL_BASE_MODEL: no such model")

    monkeypatch.setattr(demo, "load_encoder", refuse)
    thread = embedding(tmp_path, ["a"], ["what?"])
    thread.start()
    thread.join(10)

    with pytest.raises(ConfigError, match="RAGWHEEL_BASE_MODEL"):
        thread.result()
