"""Exact ranks: equal to a full sort, ties in corpus order, no broken vector gets a rank."""

from __future__ import annotations

import numpy as np
import pytest

from ragwheel.measuring import nearest
from ragwheel.measuring.nearest import UnitVectors, rank, ranks_of


def unit(rng: np.random.Generator, rows: int, dimension: int = 16) -> UnitVectors:
    vectors = rng.standard_normal((rows, dimension))
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_the_ranking_equals_a_full_sort(rng: np.random.Generator) -> None:
    queries, documents = unit(rng, 300), unit(rng, 500)
    expected = np.argsort(-(queries @ documents.T), axis=1, kind="stable")[:, :20]
    np.testing.assert_array_equal(rank(queries, documents, 20), expected)


def test_blocks_do_not_change_a_rank(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    queries, documents = unit(rng, 50), unit(rng, 90)
    pairs = [(query, row) for query in range(0, 50, 3) for row in range(0, 90, 7)]
    whole = rank(queries, documents, 10), ranks_of(queries, documents, pairs)
    for name, rows in (("_BLOCK_ROWS", 8), ("_MAX_BLOCK_ROWS", 16), ("_QUERIES_AT_ONCE", 7)):
        monkeypatch.setattr(nearest, name, rows)
    np.testing.assert_array_equal(rank(queries, documents, 10), whole[0])
    np.testing.assert_array_equal(ranks_of(queries, documents, pairs), whole[1])


@pytest.mark.parametrize("depth", [1, 3, 5])
def test_equal_scores_rank_in_corpus_order_also_at_the_cut(depth: int) -> None:
    documents = np.array([[0, 1], [1, 0], [0, 1], [1, 0], [0, 1], [1, 0], [1, 0]], np.float32)
    query = np.array([[1, 0]], np.float32)
    assert rank(query, documents, depth).tolist() == [[1, 3, 5, 6, 0][:depth]]


def test_many_ties_of_any_number_are_cut_in_corpus_order(rng: np.random.Generator) -> None:
    angles = rng.integers(0, 4, 400) * 0.3
    documents = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    queries = documents[:20]
    scores = queries @ documents.T
    expected = np.argsort(-scores, axis=1, kind="stable")[:, :30]
    np.testing.assert_array_equal(rank(queries, documents, 30), expected)


def test_a_score_stands_beside_each_rank_and_nan_is_near_to_nothing(
    rng: np.random.Generator,
) -> None:
    queries, documents = unit(rng, 3), unit(rng, 40)
    queries[1] = np.nan
    rows, scores = nearest.nearest(queries, documents, 5)
    assert (rows[1] == nearest.NO_RESULT).all()
    expected = np.take_along_axis(queries[[0, 2]] @ documents.T, rows[[0, 2]], axis=1)
    np.testing.assert_allclose(scores[[0, 2]], expected, rtol=1e-5)
    assert (scores[1] == -np.inf).all()


def test_a_corpus_smaller_than_the_depth_is_ranked_whole(rng: np.random.Generator) -> None:
    assert rank(unit(rng, 2), unit(rng, 3), 20).shape == (2, 3)


def test_no_queries_and_no_documents_have_no_ranks(rng: np.random.Generator) -> None:
    assert rank(unit(rng, 0), unit(rng, 3), 2).shape == (0, 2)
    assert rank(unit(rng, 2), unit(rng, 0), 2).shape == (2, 0)
    assert ranks_of(unit(rng, 2), unit(rng, 3), []).shape == (0,)


def test_ranks_of_pairs_agree_with_the_ranking(rng: np.random.Generator) -> None:
    queries, documents = unit(rng, 5), unit(rng, 40)
    ranking = rank(queries, documents, 40)
    pairs = [(query, int(ranking[query, at])) for query in (3, 0, 4) for at in (0, 7, 39)]
    pairs.append((1, int(ranking[1, 5])))
    assert ranks_of(queries, documents, pairs).tolist() == [1, 8, 40] * 3 + [6]


def test_ties_rank_at_the_top(rng: np.random.Generator) -> None:
    documents = np.array([[1, 0], [0, 1], [0, 1], [0, 1]], np.float32)
    pairs = [(0, 1), (0, 2), (0, 3), (1, 3)]
    queries = np.array([[1, 0], [1, 0]], np.float32)
    assert ranks_of(queries, documents, pairs).tolist() == [2, 2, 2, 2]


@pytest.mark.parametrize("bad", [np.nan, 0.0, np.inf, 2.0])
def test_a_vector_that_is_no_direction_is_refused_by_name(
    rng: np.random.Generator, bad: float
) -> None:
    broken, whole = unit(rng, 5), unit(rng, 8)
    broken[3] = bad
    for arguments in ((broken, whole), (whole, broken)):
        with pytest.raises(ValueError, match=r"1 of 5 vectors .* row 3 with length"):
            rank(*arguments, 2)
        with pytest.raises(ValueError, match="row 3"):
            ranks_of(*arguments, [(0, 0)])
