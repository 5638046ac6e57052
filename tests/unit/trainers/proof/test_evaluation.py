"""Ranking the whole corpus, pooling, and metrics that no system can bend."""

from __future__ import annotations

import numpy as np
import pytest

from ragwheel.models.encoder import Vectors
from ragwheel.trainers.proof import evaluation
from ragwheel.trainers.proof.evaluation import METRICS, RECALL_AT_10


def unit(rng: np.random.Generator, rows: int, dimension: int = 16) -> Vectors:
    vectors = rng.standard_normal((rows, dimension))
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_the_ranking_equals_a_full_sort(rng: np.random.Generator) -> None:
    queries, documents = unit(rng, 300), unit(rng, 500)
    expected = np.argsort(-(queries @ documents.T), axis=1, kind="stable")[:, :20]
    np.testing.assert_array_equal(evaluation.rank(queries, documents, 20), expected)


def test_equal_scores_rank_in_corpus_order() -> None:
    documents = np.ones((4, 1), np.float32)
    assert evaluation.rank(np.ones((1, 1), np.float32), documents, 4).tolist() == [[0, 1, 2, 3]]


def test_a_corpus_smaller_than_the_depth_is_ranked_whole(rng: np.random.Generator) -> None:
    assert evaluation.rank(unit(rng, 2), unit(rng, 3), 20).shape == (2, 3)


def test_ranks_of_pairs_agree_with_the_ranking(rng: np.random.Generator) -> None:
    queries, documents = unit(rng, 5), unit(rng, 40)
    ranking = evaluation.rank(queries, documents, 40)
    pairs = [(query, int(ranking[query, place])) for query in range(5) for place in (0, 7, 39)]
    assert evaluation.ranks_of(queries, documents, pairs).tolist() == [1, 8, 40] * 5


def test_the_pool_holds_both_tops_and_shows_no_order() -> None:
    pools = evaluation.pool(np.array([[5, 1, 9]]), np.array([[1, 7, 8]]), depth=2)
    assert pools == [[1, 5, 7]]


def test_a_query_whose_pool_has_nothing_relevant_is_left_out_and_counted() -> None:
    ranking = np.array([[0, 1], [0, 1]])
    found = evaluation.score(ranking, ranking, [{0: 3, 1: 0}, {0: 1, 1: 0}])
    assert found.rows.tolist() == [0]
    assert found.without_relevant == 1


def test_recall_counts_what_only_the_other_system_found() -> None:
    found = evaluation.score(np.array([[0, 1]]), np.array([[2, 3]]), [{0: 3, 1: 0, 2: 2, 3: 0}])
    assert found.incumbent[0, RECALL_AT_10] == 0.5
    assert found.candidate[0, RECALL_AT_10] == 0.5


def test_an_unjudged_result_is_taken_out_and_not_counted_as_irrelevant() -> None:
    ranking = np.array([[0, 1, 2]])
    found = evaluation.score(ranking, ranking, [{1: 3, 2: 0}])
    assert found.incumbent[0, METRICS.index(("recall", 1))] == 1.0
    assert found.judged == pytest.approx(2 / 3)


def test_figures_cover_everything_and_each_segment(rng: np.random.Generator) -> None:
    before, after = unit(rng, 60), unit(rng, 60)
    documents = unit(rng, 50)
    rankings = [evaluation.rank(queries, documents, 20) for queries in (before, after)]
    grades = [{row: 3 if row % 7 == 0 else 0 for row in range(50)} for _ in range(60)]
    per_query = evaluation.score(rankings[0], rankings[1], grades)
    segments = ["a"] * 40 + ["b"] * 20
    figures = evaluation.figures(per_query, segments, seed=1)
    assert len(figures) == 3 * 3 * len(METRICS)
    by_key = {(f.metric, f.k, f.segment, f.system): f for f in figures}
    for metric, k in METRICS:
        for segment, count in (("*", 60), ("a", 40), ("b", 20)):
            one, two, delta = (
                by_key[metric, k, segment, system] for system in ("incumbent", "candidate", "delta")
            )
            assert delta.interval.value == pytest.approx(two.interval.value - one.interval.value)
            assert one.interval.low <= one.interval.value <= one.interval.high
            assert one.queries == count
