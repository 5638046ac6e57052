"""Which queries are near-duplicates, by any of the three looks."""

from __future__ import annotations

import random

import numpy as np
import pytest

from ragwheel.trainers.data.clusters import (
    NEAR_COSINE,
    NEAR_SHINGLES,
    Neighbours,
    normal_form,
)

SHARED = 4


def apart(count: int) -> np.ndarray:
    """Vectors that are near to nothing."""
    return np.eye(count, max(count, 2), dtype=np.float32)


def pairs(texts: list[str], vectors: np.ndarray) -> set[tuple[int, int]]:
    """All pairs, asked for in two blocks."""
    neighbours = Neighbours(texts, vectors)
    half = len(texts) // 2
    return {
        (int(later), int(earlier))
        for start, stop in ((0, half), (half, len(texts)))
        for found in neighbours.before(start, stop)
        for later, earlier in zip(found.later, found.earlier, strict=True)
    }


def jaccard(one: str, other: str) -> float:
    """Of character 4-grams, as a textbook would write it."""
    a, b = ({f" {t} "[i : i + SHARED] for i in range(len(t) + 3 - SHARED)} for t in (one, other))
    return len(a & b) / max(1, len(a | b))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("How do I parse JSON?", "parse json"),
        ("PARSE,  json", "json: parse!"),
        ("Ｐａｒｓｅ json", "parse json"),
        ("the of", "of the"),
        ("ÜBER STRASSE", "über straße"),
    ],
)
def test_spelling_word_order_and_stop_words_make_no_other_question(one: str, other: str) -> None:
    assert normal_form(one) == normal_form(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("parse json", "do not parse json"),
        ("c++ vector", "c# vector"),
        ("who parses json", "when parses json"),
        ("???", "!!!"),
    ],
)
def test_what_changes_the_question_stays_in_its_form(one: str, other: str) -> None:
    assert normal_form(one) != normal_form(other)


def test_shingles_find_exactly_the_pairs_above_the_limit() -> None:
    rng = random.Random(1)
    words = ["parse", "json", "file", "encode", "header", "socket", "timeout", "retry", "queue"]
    texts = []
    for _ in range(300):
        text = " ".join(rng.sample(words, 4))
        texts.append(text[: rng.randint(12, len(text))].strip())
    expected = {
        (later, earlier)
        for later in range(len(texts))
        for earlier in range(later)
        if jaccard(texts[later], texts[earlier]) >= NEAR_SHINGLES
    }
    assert len(expected) > 100
    assert pairs(texts, apart(len(texts))) == expected


def test_embeddings_find_exactly_the_pairs_above_the_limit() -> None:
    rng = np.random.default_rng(2)
    centres = rng.standard_normal((20, 16))
    vectors = centres[rng.integers(0, 20, 200)] + 0.25 * rng.standard_normal((200, 16))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    texts = [f"{number:032b}" * 2 for number in rng.permutation(200)]
    cosines = np.tril(vectors @ vectors.T, -1)
    expected = {(int(a), int(b)) for a, b in np.argwhere(cosines >= NEAR_COSINE)}
    lexical = pairs(texts, apart(200))
    assert len(expected) > 100
    assert pairs(texts, vectors) - lexical == expected - lexical


def test_rows_that_are_no_vectors_are_near_to_nothing() -> None:
    vectors = np.array([[np.nan, 0], [0, 0], [1, 0], [np.nan, 0]], np.float32)
    assert pairs(["one", "other", "third thing", "fourth"], vectors) == set()


def test_texts_without_a_letter_and_empty_sets_are_no_error() -> None:
    assert pairs([], np.zeros((0, 2), np.float32)) == set()
    assert pairs(["", "?", "a"], apart(3)) == set()


def test_a_vector_is_missing() -> None:
    with pytest.raises(ValueError, match="2 queries and 1 vectors"):
        Neighbours(["a", "b"], apart(1))
