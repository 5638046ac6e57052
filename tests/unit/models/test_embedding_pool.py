"""Several processes embed what one would: the same vectors, whoever is killed meanwhile."""

from __future__ import annotations

import os
import signal
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from tests.unit.models.test_vectors import HashEncoder, expected

from ragwheel.models.embedding_pool import run_parts
from ragwheel.models.vectors import VectorCache
from ragwheel.schemas.errors import UnavailableError

TEXTS = [f"text number {number}" for number in range(3_000)]


def in_pool(fingerprint: str = "model-1", again: str = "model-1") -> HashEncoder:
    encoder = HashEncoder(fingerprint)
    encoder.again = partial(HashEncoder, again)
    return encoder


def test_the_vectors_are_those_of_one_process_and_nothing_is_made_here(tmp_path: Path) -> None:
    encoder = in_pool()
    seen: list[tuple[int, int]] = []
    found = VectorCache(tmp_path, workers=2).embed(
        encoder, TEXTS, progress=lambda *at: seen.append(at)
    )
    np.testing.assert_array_equal(found, expected(encoder, TEXTS))
    assert encoder.embedded == []
    assert seen[-1] == (3_000, 3_000)
    assert len(seen) == 3, "a shard at a time"
    assert VectorCache(tmp_path).estimate(encoder, TEXTS).texts == 0


def test_an_encoder_that_was_trained_meanwhile_is_not_loaded_again_unseen(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="another encoder"):
        VectorCache(tmp_path, workers=2).embed(in_pool("model-2", again="model-1"), TEXTS)


def kill_the_first_to_come(folder: Path, part: int) -> int:
    """Dies the hard way in the middle of part 3, once."""
    mark = folder / "killed"
    if part == 3 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return part * part


def test_a_killed_process_costs_its_part_and_nothing_else(tmp_path: Path) -> None:
    parts = list(range(8))
    found = dict(run_parts(parts, partial(Path, tmp_path), kill_the_first_to_come, 2))
    assert (tmp_path / "killed").exists()
    assert found == {part: part * part for part in parts}


def always_killed(_loaded: Path, _part: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_processes_that_are_always_killed_are_an_error_and_no_endless_loop() -> None:
    with pytest.raises(UnavailableError, match="out of memory"):
        list(run_parts([1, 2, 3], Path, always_killed, 2))


def test_the_cost_is_told_before_and_counts_only_what_is_missing(tmp_path: Path) -> None:
    cache, encoder = VectorCache(tmp_path), HashEncoder()
    cache.embed(encoder, TEXTS[:1_000])
    found = cache.estimate(encoder, [*TEXTS, *TEXTS])
    assert (found.texts, found.tokens) == (2_000, 2_000)
    assert found.seconds > 0
    assert len(encoder.embedded) < 1_200, "a few texts tell the speed"
