"""A judge who errs: beliefs favour no system at a gate, and no dev check refuses for being new."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from tests.rigs.belief_world import (
    BeliefWorld,
    Grader,
    dev_gain,
    judge_gate,
    make_belief_world,
    measured_gain,
)

from ragwheel.measuring.nearest import NO_RESULT
from ragwheel.models.encoder import Vectors
from ragwheel.trainers.believing import between, middle_of_results
from ragwheel.trainers.proof.gate import decide
from ragwheel.trainers.proof.guards import GateRules
from ragwheel.trainers.systems.contracts import Ranking

RULES = GateRules(resamples=500)
GRADER = Grader(wrong=0.1, found=0.9)
Queries = Callable[[BeliefWorld], Vectors]


def world(trial: int, better: float = 0.0, queries: int = 250) -> BeliefWorld:
    return make_belief_world(np.random.default_rng([trial, 1]), better=better, queries=queries)


def results_of(of: BeliefWorld) -> Vectors:
    return middle_of_results(of.documents, of.rankings())


def by_incumbent(of: BeliefWorld) -> Vectors:
    return of.vectors["incumbent"]


def by_both(of: BeliefWorld) -> Vectors:
    return between(*of.vectors.values())


def promoted(trials: int, better: float = 0.0, *, believing: bool = True) -> float:
    """How often a candidate passes a gate by itself, at a level of 5 %."""
    actions = [
        decide(
            judge_gate(
                world(trial, better), np.random.default_rng([trial, 2]), GRADER,
                believing=believing,
            ),
            RULES,
            seed=trial,
        ).action
        for trial in range(trials)
    ]  # fmt: skip
    return actions.count("promoted") / trials


def gains(queries: Queries, trials: int = 8) -> list[float]:
    """What gates see of equal systems, less what the truth says."""
    return [
        measured_gain(
            judge_gate(of, np.random.default_rng([trial, 2]), GRADER, vectors=queries(of))
        )
        - of.true_gain()
        for trial, of in ((trial, world(trial, queries=150)) for trial in range(trials))
    ]


def test_beliefs_promote_an_equal_system_in_at_most_one_of_twenty_gates() -> None:
    # Three standard errors of 5 % in 40 trials are 10 points; the bench has the narrow figure.
    assert promoted(40) <= 0.05 + 0.1


def test_with_beliefs_a_true_gain_is_proven_more_often() -> None:
    assert promoted(12, better=0.3) > promoted(12, better=0.3, believing=False)


@pytest.mark.parametrize("queries", [by_both, results_of])
def test_a_gate_with_beliefs_favours_neither_of_two_equal_systems(queries: Queries) -> None:
    found = gains(queries)
    assert abs(np.mean(found)) < 3 * np.std(found) / len(found) ** 0.5 + 0.01


def test_beliefs_by_the_vectors_of_one_system_would_favour_it() -> None:
    # Hence what both return stands for the query where only one has such vectors.
    assert np.mean(gains(by_incumbent)) < -0.05


def test_the_middle_of_results_is_the_same_when_systems_change_places() -> None:
    documents = np.eye(4, dtype=np.float32)
    scores = np.zeros((1, 3), np.float32)
    one = Ranking(np.array([[0, 1, 2]]), scores)
    two = Ranking(np.array([[0, 3, NO_RESULT]]), scores)
    middle = middle_of_results(documents, [one, two])
    np.testing.assert_array_equal(middle, middle_of_results(documents, [two, one]))
    np.testing.assert_allclose(middle[0], np.array([2, 1, 1, 1]) / 7**0.5, rtol=1e-6)


def test_queries_without_any_result_have_no_middle_and_no_error() -> None:
    nothing = Ranking.empty(2, 3)
    middle = middle_of_results(np.eye(4, dtype=np.float32), [nothing, nothing])
    np.testing.assert_array_equal(middle, np.zeros((2, 4), np.float32))


def test_grades_at_their_word_refuse_no_equal_system_by_dev_queries() -> None:
    of = [(trial, world(trial)) for trial in range(10)]
    word = [dev_gain(each, np.random.default_rng([at, 3]), GRADER) for at, each in of]
    believed = [
        dev_gain(each, np.random.default_rng([at, 3]), GRADER, believing=True) for at, each in of
    ]
    assert sum(each <= 0 for each in word) <= 1
    # With the incumbent's beliefs most are refused.
    assert sum(each <= 0 for each in believed) > 5
