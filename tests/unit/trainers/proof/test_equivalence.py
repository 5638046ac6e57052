"""A candidate that is as good but different passes; one that is worse, or broken, does not."""

from __future__ import annotations

import numpy as np
import pytest
from tests.rigs.dev_world import dev_lists

from ragwheel.measuring.intervals import intervals
from ragwheel.trainers.proof.equivalence import GradedList, check_equivalence
from ragwheel.trainers.proof.evaluation import JudgedPair


@pytest.mark.parametrize("correlation", [0.9, 0.7, 0.5])
@pytest.mark.parametrize("flipped", [0.0, 0.1])
def test_an_equal_but_different_system_is_not_refused(correlation: float, flipped: float) -> None:
    refused = counted_over_the_corpus = 0
    trials = 12
    for trial in range(trials):
        rng = np.random.default_rng(trial)
        lists, hits = dev_lists(rng, correlation=correlation, flipped=flipped)
        refused += bool(check_equivalence(lists, seed=trial).refusal)
        counted_over_the_corpus += intervals(hits[:, None], trial)[0].high < 0
    assert refused <= 1
    if correlation < 0.9:
        assert counted_over_the_corpus >= 3


@pytest.mark.parametrize("correlation", [0.9, 0.5])
def test_a_system_that_is_much_worse_is_refused(correlation: float) -> None:
    lists, _ = dev_lists(np.random.default_rng(0), correlation=correlation, signal_lost=2.5)
    found = check_equivalence(lists, seed=0)
    assert "no judge was asked" in found.refusal
    assert found.change.high < 0


def test_a_model_that_scores_nan_is_refused() -> None:
    lists, _ = dev_lists(np.random.default_rng(0))
    broken = GradedList(lists[3].pairs, lists[3].before, lists[3].after * np.nan, 3)
    found = check_equivalence([*lists[:3], broken], seed=0)
    assert "candidate scores dev query 3 with NaN" in found.refusal


def test_without_dev_queries_nothing_is_proven() -> None:
    assert check_equivalence([], seed=0).refusal == ""
    nothing = GradedList([JudgedPair(0, 0.0)], np.ones(1), np.ones(1), 0)
    assert check_equivalence([nothing], seed=0).queries == 0


def graded(before: list[float], after: list[float], cluster: int, weight: float) -> GradedList:
    pairs = [JudgedPair.certain(3), *[JudgedPair.certain(0)] * (len(before) - 1)]
    return GradedList(pairs, np.array(before), np.array(after), cluster, weight)


def test_paraphrases_of_one_lost_query_prove_no_loss() -> None:
    lost, same = ([9.0, 1, 2, 3], [0.0, 1, 2, 3]), ([9.0, 1, 2, 3], [9.0, 1, 2, 3])
    together = [graded(*lost, 0, 1.0) for _ in range(30)]
    together += [graded(*same, 1 + at, 1.0) for at in range(30)]
    alone = [graded(*lost, at, 1.0) for at in range(30)] + together[30:]
    assert check_equivalence(together, seed=0).refusal == ""
    assert check_equivalence(alone, seed=0).refusal != ""


def test_what_nobody_returns_is_ordered_by_chance_and_not_by_the_list() -> None:
    # The relevant chunk is first in every list; a system that returns none of them gains nothing.
    nothing = [-np.inf] * 8
    lists = [graded(nothing, nothing, at, 1.0) for at in range(200)]
    found = check_equivalence(lists, seed=0)
    assert found.change.value == 0


def test_queries_count_by_their_weight() -> None:
    lost, won = ([9.0, 1, 2], [0.0, 1, 2]), ([0.0, 1, 2], [9.0, 1, 2])
    lists = [graded(*lost, at, 1.0) for at in range(30)]
    lists += [graded(*won, 30 + at, 10.0) for at in range(30)]
    assert check_equivalence(lists, seed=0).change.value > 0
