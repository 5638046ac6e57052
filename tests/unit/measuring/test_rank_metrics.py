"""Metrics equal the reference implementation to the last digit, in the awkward cases too."""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType

import ir_measures
import numpy as np
import pytest
from ir_measures import RR, P, Qrel, R, ScoredDoc, nDCG
from numpy.typing import NDArray

from ragwheel.measuring import rank_metrics

DEPTH = 15
GAINS = {0: 0, 1: 1, 2: 3, 3: 7}
Grades = NDArray[np.int8]
Case = tuple[Grades, Grades]
NOTHING = -1


def random_case(seed: int, queries: int = 40) -> Case:
    """Ranked grades and all judged grades.

    With results that nobody judged, queries without results (absent from the run), without relevant
    chunks, and with relevant chunks that were not retrieved.
    """
    rng = np.random.default_rng(seed)
    ranked = rng.choice([-1, 0, 0, 0, 1, 2, 3], size=(queries, DEPTH)).astype(np.int8)
    ranked[0] = NOTHING
    ranked[1] = 0
    missed = rng.choice([-1, 0, 1, 2, 3], size=(queries, 4)).astype(np.int8)
    missed[1] = 0
    return ranked, np.concatenate([ranked, missed], axis=1)


def beliefs(grades: Grades) -> rank_metrics.Relevance:
    certain = (grades >= rank_metrics.RELEVANT_GRADE).astype(np.float64)
    return np.where(grades == NOTHING, rank_metrics.UNJUDGED, certain)


def gains(grades: Grades) -> rank_metrics.Relevance:
    found = rank_metrics.gains(np.maximum(grades, 0), np.maximum(beliefs(grades), 0))
    return np.where(grades == NOTHING, rank_metrics.UNJUDGED, found)


def relevant_of(judged: Grades) -> NDArray[np.float64]:
    return np.asarray((judged >= rank_metrics.RELEVANT_GRADE).sum(axis=1), np.float64)


def reference(measure: ir_measures.Measure, case: Case) -> NDArray[np.float64]:
    ranked, judged = case
    qrels = [
        Qrel(str(query), f"d{doc}", int(grade))
        for query, row in enumerate(judged)
        for doc, grade in enumerate(row)
        if grade != NOTHING
    ]
    run = [
        # Strictly decreasing scores: the reference breaks ties by document id, not by rank.
        ScoredDoc(str(query), f"d{doc}", float(DEPTH - doc))
        for query, row in enumerate(ranked)
        for doc in range(DEPTH)
        if query != 0  # the query that is absent from the run
    ]
    values = np.zeros(len(ranked))
    for found in ir_measures.iter_calc([measure], qrels, run):
        values[int(found.query_id)] = found.value
    return values


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("measure", "ours"),
    [
        (R(rel=2) @ 1, lambda case: rank_metrics.recall(beliefs(case[0]), relevant_of(case[1]), 1)),
        (
            R(rel=2) @ 10,
            lambda case: rank_metrics.recall(beliefs(case[0]), relevant_of(case[1]), 10),
        ),
        (P(rel=2) @ 10, lambda case: rank_metrics.precision(beliefs(case[0]), 10)),
        (P(rel=2) @ 5, lambda case: rank_metrics.precision(beliefs(case[0]), 5)),
        (RR(rel=2) @ 10, lambda case: rank_metrics.reciprocal_rank(beliefs(case[0]), 10)),
        (
            nDCG(gains=GAINS) @ 10,
            lambda case: rank_metrics.ndcg(gains(case[0]), gains(case[1]), 10),
        ),
        (nDCG(gains=GAINS) @ 3, lambda case: rank_metrics.ndcg(gains(case[0]), gains(case[1]), 3)),
    ],
    ids=lambda value: "" if isinstance(value, FunctionType) else str(value),
)
def test_equals_the_reference(
    seed: int, measure: ir_measures.Measure, ours: Callable[[Case], rank_metrics.Scores]
) -> None:
    case = random_case(seed)
    expected = reference(measure, case)
    assert expected.max() > 0
    np.testing.assert_allclose(ours(case), expected, rtol=0, atol=1e-9)


def test_a_deeper_cut_than_the_list_counts_missing_results_as_not_relevant() -> None:
    ranked = np.array([[1.0, 0.0]])
    assert rank_metrics.precision(ranked, 10)[0] == pytest.approx(0.1)
    assert rank_metrics.recall(ranked, np.array([1.0]), 10)[0] == 1.0


def test_empty_lists_score_zero() -> None:
    nothing = np.zeros((3, 0))
    assert rank_metrics.reciprocal_rank(nothing, 10).tolist() == [0, 0, 0]
    assert rank_metrics.ndcg(nothing, np.full((3, 1), 7.0), 10).tolist() == [0, 0, 0]
    assert rank_metrics.judged_share(nothing, 10).tolist() == [0, 0, 0]


def test_condensing_takes_unjudged_results_out_and_keeps_the_order_of_the_others() -> None:
    ranked = np.array([[-1.0, 0, -1, 0.9, 0.2]])
    condensed = np.take_along_axis(ranked, rank_metrics.unjudged_last(ranked), axis=1)
    assert condensed.tolist() == [[0, 0.9, 0.2, -1, -1]]


def test_judged_share_counts_judgments_of_any_kind() -> None:
    ranked = np.array([[0, 1.0, -1, -1], [-1, -1, 1, 1]])
    assert rank_metrics.judged_share(ranked, 2).tolist() == [1.0, 0.0]


def test_a_metric_of_beliefs_is_the_mean_of_the_metric_over_what_may_be_true() -> None:
    rng = np.random.default_rng(0)
    believed = rng.choice([0, 0.2, 0.7, 1.0], (1, 6))
    true = (rng.random((200_000, 6)) < believed).astype(np.float64)
    for metric in (rank_metrics.reciprocal_rank, rank_metrics.precision):
        assert metric(believed, 4)[0] == pytest.approx(metric(true, 4).mean(), abs=3e-3)
    hits, relevant = true[:, :4].sum(axis=1).mean(), true.sum(axis=1).mean()
    found = rank_metrics.recall(believed, believed.sum(axis=1), 4)[0]
    assert found == pytest.approx(hits / relevant, abs=3e-3)


def test_a_doubted_grade_is_worth_what_it_probably_is() -> None:
    assert rank_metrics.gains([0, 1, 2, 3], [0, 0, 1, 1]).tolist() == [0, 1, 3, 7]
    assert rank_metrics.gains([3, 3, 0, 1], [0.5, 0, 0.5, 1]).tolist() == [3.5, 0, 1.5, 3]
