"""Recent vectors: found by everything they depend on, within a limit in bytes."""

from __future__ import annotations

import numpy as np

from ragwheel.serving.recent_vectors import OneVector, RecentVectors, VectorKey

KEY: VectorKey = ("space", "fp32", "query", "prompt", "text")


def vector(value: float, numbers: int = 100) -> OneVector:
    return np.full(numbers, value, np.float32)


def test_a_vector_is_found_by_its_whole_key_only() -> None:
    recent = RecentVectors(10_000)
    recent.put(KEY, vector(1))
    np.testing.assert_array_equal(recent.get(KEY), vector(1))
    for place in range(5):
        space, arithmetic, role, prompt, text = (
            "another" if at == place else part for at, part in enumerate(KEY)
        )
        assert recent.get((space, arithmetic, role, prompt, text)) is None


def test_the_longest_unused_goes_and_the_limit_holds() -> None:
    recent = RecentVectors(5_000)
    keys: list[VectorKey] = [("space", "fp32", "query", "", f"{n}") for n in range(50)]
    for key in keys:
        recent.put(key, vector(2))
        recent.get(keys[0])
        assert recent.bytes <= 5_000
    assert recent.get(keys[0]) is not None
    assert recent.get(keys[-1]) is not None
    assert recent.get(keys[1]) is None
    assert 2 < len(recent) < 10


def test_long_texts_count_too_and_what_fits_never_is_not_kept() -> None:
    recent = RecentVectors(5_000)
    recent.put(("space", "fp32", "query", "", "x" * 2_000), vector(1))
    assert (len(recent), recent.bytes) == (0, 0)
    nothing = RecentVectors(0)
    nothing.put(KEY, vector(1))
    assert nothing.get(KEY) is None


def test_a_kept_vector_does_not_keep_its_batch() -> None:
    recent = RecentVectors(10_000)
    batch = np.ones((1_000, 100), np.float32)
    recent.put(KEY, batch[0])
    kept = recent.get(KEY)
    assert kept is not None
    assert kept.base is None
