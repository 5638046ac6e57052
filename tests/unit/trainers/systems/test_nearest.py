"""Ranking in blocks is exact: it equals a full sort, ties and all."""

from __future__ import annotations

import numpy as np
import pytest

from ragwheel.models.encoder import Vectors
from ragwheel.trainers.systems import nearest as module
from ragwheel.trainers.systems.contracts import NO_RESULT
from ragwheel.trainers.systems.nearest import nearest, ranks_of


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a few hundred documents are many blocks."""
    monkeypatch.setattr(module, "_BLOCK_ROWS", 16)
    monkeypatch.setattr(module, "_MAX_BLOCK_ROWS", 64)
    monkeypatch.setattr(module, "_QUERIES_AT_ONCE", 7)


def grid(rows: int, seed: int) -> Vectors:
    """Vectors of few directions, hence with many equal cosines that float32 holds exactly."""
    return np.random.default_rng(seed).integers(-1, 2, (rows, 4)).astype(np.float32)


@pytest.mark.parametrize("depth", [1, 5, 100, 500])
def test_it_equals_a_full_sort_with_ties_in_corpus_order(depth: int) -> None:
    queries, documents = grid(30, 1), grid(300, 2)
    scores = queries @ documents.T
    expected = np.argsort(-scores, axis=1, kind="stable")[:, :depth]
    found = nearest(queries, documents, depth)
    assert (found.rows == expected).all()
    assert (found.scores == np.take_along_axis(scores, expected, axis=1)).all()


def test_one_document_many_times_is_found_from_the_top_of_the_corpus() -> None:
    documents = np.ones((200, 3), np.float32)
    assert nearest(documents[:2], documents, 20).rows.tolist() == [list(range(20))] * 2


def test_a_broken_query_is_near_to_nothing() -> None:
    queries, documents = grid(3, 1), grid(100, 2)
    queries[1] = np.nan
    found = nearest(queries, documents, 5).rows
    assert (found[1] == NO_RESULT).all()
    assert (found[[0, 2]] != NO_RESULT).all()


def test_without_documents_nothing_is_found() -> None:
    assert nearest(grid(3, 1), grid(0, 2), 5).rows.shape == (3, 0)


def test_ranks_are_those_of_a_full_sort_with_ties_to_the_top() -> None:
    queries, documents = grid(30, 1), grid(300, 2)
    pairs = [(query, document) for query in range(0, 30, 3) for document in range(0, 300, 17)]
    scores = queries @ documents.T
    expected = [1 + int((scores[query] > scores[query, row]).sum()) for query, row in pairs]
    assert ranks_of(queries, documents, pairs).tolist() == expected
    assert ranks_of(queries, documents, []).tolist() == []
