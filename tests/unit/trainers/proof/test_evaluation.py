"""Pooling, and metrics of any number of systems that no system can bend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import ir_measures
import numpy as np
import pytest
from ir_measures import RR, P, Qrel, R, ScoredDoc, nDCG
from sentence_transformers.sentence_transformer.evaluation import InformationRetrievalEvaluator

from ragwheel.measuring.nearest import NO_RESULT, RankedRows, rank
from ragwheel.trainers.proof import evaluation
from ragwheel.trainers.proof.evaluation import (
    ALL_SEGMENTS,
    METRICS,
    RECALL_AT_10,
    SEEN_ANSWERS,
    UNSEEN_ANSWERS,
    GateQueries,
    JudgedPair,
    Measurement,
)

MRR = METRICS.index(("mrr", 10))


def certain(*grades: Mapping[int, int]) -> list[dict[int, JudgedPair]]:
    return [{row: JudgedPair.certain(grade) for row, grade in of.items()} for of in grades]


def score(
    judged: Sequence[Mapping[int, JudgedPair]],
    trained: frozenset[int] = frozenset(),
    **rows: RankedRows,
) -> Measurement:
    return evaluation.score(rows, judged, GateQueries.of(["all"] * len(judged)), trained)


def test_the_pool_holds_the_tops_of_all_systems_and_shows_no_order() -> None:
    tops = [np.array([[5, 1, 9]]), np.array([[1, 7, 8]]), np.array([[3, NO_RESULT, NO_RESULT]])]
    assert evaluation.pool(tops, depth=2) == [[1, 3, 5, 7]]


def test_a_query_whose_pool_has_nothing_relevant_is_left_out_and_counted() -> None:
    found = score(certain({0: 3, 1: 0}, {0: 1, 1: 0}), a=np.array([[0, 1], [0, 1]]))
    assert len(found.values["a"]) == 1
    assert found.without_relevant == 1


def test_recall_counts_what_only_the_other_system_found() -> None:
    judged = certain({0: 3, 1: 0, 2: 2, 3: 0})
    found = score(judged, a=np.array([[0, 1]]), b=np.array([[2, 3]]), c=np.array([[0, 2]]))
    assert [found.values[name][0, RECALL_AT_10] for name in "abc"] == [0.5, 0.5, 1.0]


def test_an_unjudged_result_is_taken_out_or_left_in_as_a_miss() -> None:
    found = score(certain({1: 3, 2: 0}), a=np.array([[0, 1, 2]]))
    assert found.values["a"][0, MRR] == 1.0
    assert found.floors["a"][0, MRR] == 0.5
    assert found.coverage["a"].judged == pytest.approx(2 / 3)


def test_each_system_has_its_own_coverage_and_bounds() -> None:
    # What only `b` brings is unjudged: an average over both systems would hide half of it.
    judged = certain({row: 3 if row == 0 else 0 for row in range(10)})
    found = score(judged, a=np.arange(10)[None], b=np.array([[*range(1, 7), 20, 21, 22, 23]]))
    assert found.coverage["a"].judged == 1.0
    assert found.coverage["b"].judged == pytest.approx(0.6)
    assert (found.coverage["a"].low, found.coverage["a"].high) == (1.0, 1.0)
    assert (found.coverage["b"].low, found.coverage["b"].high) == (0.0, 4 / 5)


def test_a_missing_result_is_a_miss_and_not_unjudged() -> None:
    found = score(certain({0: 3, 1: 2}), a=np.array([[0, NO_RESULT, NO_RESULT]]))
    assert found.coverage["a"].judged == 1.0
    assert found.values["a"][0, RECALL_AT_10] == 0.5


def test_beliefs_make_the_metric_that_is_expected() -> None:
    judged = [{0: JudgedPair(3, 0.5), 1: JudgedPair(0, 0.0), 2: JudgedPair(2, 1.0)}]
    found = score(judged, a=np.array([[0, 1, 2]]), b=np.array([[2, 0, 1]]))
    assert found.values["a"][0, MRR] == pytest.approx(0.5 * 1 + 0.5 * 1 / 3)
    assert found.values["b"][0, MRR] == 1.0
    assert found.values["a"][0, 0] == pytest.approx(0.5 / 1.5)


def test_a_query_counts_as_far_as_it_probably_has_something_relevant() -> None:
    judged = [{0: JudgedPair(3, 0.5), 1: JudgedPair(2, 0.5)}, {0: JudgedPair(3, 1.0)}]
    queries = GateQueries.of(["x", "x"], weights=np.array([2.0, 1.0]))
    found = evaluation.score({"a": np.array([[0], [0]])}, judged, queries)
    assert found.queries.weights.tolist() == [1.5, 1.0]


def test_seen_and_unseen_answers_are_told_apart() -> None:
    judged = certain({0: 3, 1: 0}, {1: 3}, {2: 2, 0: 0})
    rows = np.array([[0], [1], [0]])
    found = score(judged, frozenset({0}), a=rows, b=rows)
    assert found.seen.tolist() == [True, False, False]
    values = {
        figure.segment: (figure.interval.value, figure.queries)
        for figure in evaluation.figures(found, "a", "b", seed=0)
        if (figure.metric, figure.k, figure.system) == ("recall", 10, "a")
    }
    assert values[SEEN_ANSWERS] == (1.0, 1)
    assert values[UNSEEN_ANSWERS] == (0.5, 2)


def test_weights_make_the_mean_that_of_the_traffic() -> None:
    # 20 easy queries that each stand for 50 searches, 20 hard ones that stand for themselves.
    judged = certain(*({0: 3} if easy else {1: 3} for easy in [1] * 20 + [0] * 20))
    weights = np.array([50.0] * 20 + [1.0] * 20)
    queries = GateQueries.of(["easy"] * 20 + ["hard"] * 20, weights=weights)
    rows = {"a": np.zeros((40, 1), np.int64), "b": np.zeros((40, 1), np.int64)}
    figures = evaluation.figures(evaluation.score(rows, judged, queries), "a", "b", seed=0)
    whole = next(f for f in figures if (f.segment, f.system, f.k) == (ALL_SEGMENTS, "a", 10))
    assert whole.interval.value == pytest.approx(1000 / 1020)


def test_the_leaderboard_has_every_system_and_its_difference_to_the_incumbent() -> None:
    rng = np.random.default_rng(0)
    rows = {name: rng.permuted(np.tile(np.arange(50), (60, 1)), axis=1) for name in "abc"}
    judged = certain(*({row: 3 if row % 7 == 0 else 0 for row in range(50)} for _ in range(60)))
    segments = ["left"] * 40 + ["right"] * 20
    measured = evaluation.score(rows, judged, GateQueries.of(segments))
    figures = evaluation.figures(measured, "a", "b", seed=1)
    by_key = {(f.metric, f.k, f.segment, f.system): f for f in figures}
    assert len(figures) == len(by_key) == 3 * 5 * len(METRICS)
    for (metric, k), (segment, count) in [
        (metric, part) for metric in METRICS for part in (("*", 60), ("left", 40), ("right", 20))
    ]:
        for system, delta in (("b", "delta"), ("c", "delta:c")):
            one, two, gain = (by_key[metric, k, segment, name] for name in ("a", system, delta))
            expected = two.interval.value - one.interval.value
            assert gain.interval.value == pytest.approx(expected)
            assert one.interval.low <= one.interval.value <= one.interval.high
            assert one.queries == count


def test_paraphrases_of_one_question_widen_the_interval() -> None:
    rng = np.random.default_rng(2)
    rows = {"a": np.repeat(rng.integers(0, 2, 40), 8)[:, None]}
    judged = certain(*[{0: 3}] * 320)

    def width(queries: GateQueries) -> float:
        found = evaluation.figures(evaluation.score(rows, judged, queries), "a", "a", seed=0)
        return found[RECALL_AT_10].interval.high - found[RECALL_AT_10].interval.low

    alone = GateQueries.of(["x"] * 320)
    together = GateQueries.of(["x"] * 320, np.repeat(np.arange(40), 8))
    assert width(together) > 2 * width(alone)


def test_the_evaluator_equals_the_two_references() -> None:
    rng = np.random.default_rng(3)
    queries, documents = (
        np.asarray(each / np.linalg.norm(each, axis=1, keepdims=True), np.float32)
        for each in (rng.standard_normal((60, 16)), rng.standard_normal((400, 16)))
    )
    rows = rank(queries, documents, 20)
    relevant = [
        {int(row) for row in rng.choice(400, 2)} | {int(rows[at, rng.integers(0, 20)])}
        for at in range(60)
    ]
    judged = certain(*(dict.fromkeys(of, 2) for of in relevant))
    for at, of in enumerate(judged):
        of |= {int(row): JudgedPair.certain(0) for row in rows[at] if int(row) not in of}
    ours = dict(zip(METRICS, score(judged, a=rows).values["a"].mean(axis=0), strict=True))

    theirs = InformationRetrievalEvaluator(
        {str(at): "" for at in range(60)},
        {str(row): "" for row in range(400)},
        {str(at): {str(row) for row in of} for at, of in enumerate(relevant)},
    ).compute_metrics(
        [
            [{"corpus_id": str(row), "score": float(queries[at] @ documents[row])} for row in of]
            for at, of in enumerate(rows)
        ]
    )
    qrels = [Qrel(str(at), str(row), 1) for at, of in enumerate(relevant) for row in of]
    run = [
        ScoredDoc(str(at), str(row), float(20 - place))
        for at, of in enumerate(rows)
        for place, row in enumerate(of)
    ]
    measures = {
        R @ 1: ("recall", 1), R @ 5: ("recall", 5), R @ 10: ("recall", 10),
        P @ 10: ("precision", 10), RR @ 10: ("mrr", 10), nDCG @ 10: ("ndcg", 10),
    }  # fmt: skip
    for measure, value in ir_measures.calc_aggregate(list(measures), qrels, run).items():
        assert ours[measures[measure]] == pytest.approx(value, abs=1e-9)
    assert ours["recall", 10] == pytest.approx(theirs["recall@k"][10], abs=1e-9)
    assert ours["recall", 1] == pytest.approx(theirs["recall@k"][1], abs=1e-9)
    assert ours["precision", 10] == pytest.approx(theirs["precision@k"][10], abs=1e-9)
    assert ours["mrr", 10] == pytest.approx(theirs["mrr@k"][10], abs=1e-9)
    assert ours["ndcg", 10] == pytest.approx(theirs["ndcg@k"][10], abs=1e-9)


def test_smooth_recall_is_the_mean_of_recall_over_cuts_around_ten() -> None:
    ranks = np.array([1, 5, 9, 12, 20])
    rows = np.full((5, 20), 7)
    rows[np.arange(5), ranks - 1] = 0
    found = score(certain(*[{0: 3, 7: 0}] * 5), a=rows).values["a"]
    expected = [np.mean([place <= cut for cut in range(5, 21)]) for place in ranks]
    assert found[:, evaluation.SMOOTH_RECALL].tolist() == pytest.approx(expected)


def test_nothing_judged_is_nothing_measured() -> None:
    found = score([{}, {}], a=np.array([[0], [1]]))
    assert (len(found.values["a"]), found.without_relevant) == (0, 2)
    assert found.coverage["a"].judged == 0
