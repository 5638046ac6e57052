"""Tests of paired differences hold their level where the bootstrap alone does not."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from ragwheel.measuring.intervals import resampled_means
from ragwheel.measuring.proofs import (
    cautious_low,
    detectable,
    holm,
    needed_count,
    p_above,
    sign_flip_p,
    spent_alpha,
    student_quantile,
)


def differences(wins: int, losses: int, queries: int) -> NDArray[np.float64]:
    values = np.zeros(queries)
    values[:wins], values[wins : wins + losses] = 1, -1
    return values


@pytest.mark.parametrize(("wins", "losses"), [(3, 0), (4, 1), (9, 2), (6, 6), (0, 5)])
def test_whole_wins_and_losses_are_the_exact_sign_test(wins: int, losses: int) -> None:
    values = differences(wins, losses, 300)
    exact = stats.binomtest(wins, wins + losses, alternative="greater").pvalue
    assert sign_flip_p(values, seed=0) == pytest.approx(exact)
    assert p_above(values, 0.0, seed=0) == pytest.approx(exact)


def test_drawn_sign_patterns_agree_with_counted_ones() -> None:
    values = differences(20, 9, 300)
    exact = stats.binomtest(20, 29, alternative="greater").pvalue
    assert sign_flip_p(values, seed=0) == pytest.approx(exact, abs=0.005)


def test_three_wins_without_a_loss_prove_nothing_though_the_bootstrap_says_so() -> None:
    values = differences(3, 0, 250)
    assert (resampled_means(values[:, None], seed=0) <= 0).mean() < 0.055
    assert p_above(values, 0.0, seed=0) == pytest.approx(0.125)


def test_many_differences_are_decided_by_the_bootstrap() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(0.15, 1, 400)
    student = stats.ttest_1samp(values, 0, alternative="greater").pvalue
    assert p_above(values, 0.0, seed=0) == pytest.approx(student, abs=0.003)


def test_one_large_cluster_counts_as_one_difference() -> None:
    # 60 queries won, all paraphrases of one question; 3 others lost.
    values, clusters = differences(60, 3, 300), np.arange(300)
    clusters[:60] = 0
    assert p_above(values, 0.0, seed=0, clusters=clusters) == pytest.approx(0.5)
    assert p_above(values, 0.0, seed=0) < 0.001


def test_a_minimum_effect_asks_for_more() -> None:
    values = differences(40, 20, 1_000)
    assert p_above(values, 0.0, seed=0) < 0.02 < 0.05 < p_above(values, 0.01, seed=0)


def test_without_a_difference_nothing_is_proven() -> None:
    assert p_above(np.zeros(50), 0.0, seed=0) == 1.0
    assert p_above(np.zeros(0), 0.0, seed=0) == 1.0
    with pytest.raises(ValueError, match="cautious_low"):
        p_above(np.zeros(3), -0.1, seed=0)


@pytest.mark.parametrize("cluster_size", [1, 2, 4, 8])
def test_an_equal_system_is_rejected_at_the_level_whatever_the_clusters(cluster_size: int) -> None:
    rng = np.random.default_rng(cluster_size)
    found = []
    for trial in range(400):
        clusters = np.arange(240) // cluster_size
        shared = rng.random(240) < 0.8
        own = rng.choice([-1, 0, 0, 0, 1], 240)
        group = rng.choice([-1, 0, 0, 0, 1], 240)[clusters]
        values = np.where(shared, group, own).astype(float)
        found.append(p_above(values, 0.0, trial, clusters=clusters, resamples=1_000))
    # Three standard errors of 5 % in 400 trials are 3.3 points.
    assert (np.array(found) <= 0.05).mean() <= 0.05 + 0.033


@pytest.mark.parametrize("queries", [12, 20, 29, 40, 80, 200])
@pytest.mark.parametrize("churn", [0.0, 0.1, 0.3])
def test_a_loss_of_ten_points_is_excluded_in_at_most_one_case_in_twenty(
    queries: int, churn: float
) -> None:
    rng = np.random.default_rng(queries)
    trials = 1_500
    values = rng.choice([-1.0, 0, 1], (trials, queries), p=[0.1 + churn, 0.9 - 2 * churn, churn])
    excluded = np.mean([cautious_low(each, 0.05) > -0.1 for each in values])
    assert excluded <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / trials)


def test_agreement_is_no_certainty() -> None:
    assert cautious_low(np.zeros(20), 0.05) < -0.1
    assert -0.1 < cautious_low(np.zeros(60), 0.05) < 0
    assert cautious_low(np.zeros(3), 0.05) == -1
    assert cautious_low(np.zeros(0), 0.05) == -1


def test_paraphrases_do_not_make_a_loss_less_likely() -> None:
    values = np.zeros(200)
    assert cautious_low(values, 0.05) > -0.1
    assert cautious_low(values, 0.05, clusters=np.arange(200) // 10) < -0.1


def test_the_bound_of_many_is_the_ordinary_one() -> None:
    values = np.random.default_rng(2).normal(0.02, 0.3, 2_000)
    ordinary = values.mean() - 1.645 * values.std() / math.sqrt(2_000)
    assert cautious_low(values, 0.05) == pytest.approx(ordinary, abs=1e-3)


def test_holm_rejects_the_smallest_first_and_stops_at_the_first_that_stays() -> None:
    assert holm([0.04, 0.01, 0.02, 0.9], 0.05).tolist() == [False, True, False, False]
    assert holm([0.012, 0.01, 0.02, 0.9], 0.05).tolist() == [True, True, True, False]
    assert holm([], 0.05).tolist() == []


def test_a_series_without_end_spends_its_alpha_once() -> None:
    spent = [spent_alpha(look, 0.05) for look in range(1, 2_000)]
    assert spent[0] == 0.025
    assert spent == sorted(spent, reverse=True)
    assert 0.0499 < sum(spent) < 0.05
    with pytest.raises(ValueError, match="from 1"):
        spent_alpha(0, 0.05)


@pytest.mark.parametrize("probability", [0.8, 0.95, 0.99])
@pytest.mark.parametrize("freedom", [3, 5, 19, 300])
def test_students_quantile_is_that_of_the_tables(probability: float, freedom: float) -> None:
    exact = stats.t.ppf(probability, freedom)
    assert student_quantile(probability, freedom) == pytest.approx(exact, rel=0.02)


def test_the_planned_number_of_queries_has_the_planned_power() -> None:
    count = math.ceil(needed_count(0.3, 0.05, alpha=0.05))
    assert 215 <= count <= 230
    assert detectable(0.3, count, alpha=0.05) == pytest.approx(0.05, rel=0.01)
    rng = np.random.default_rng(3)
    proven = [
        p_above(rng.normal(0.05, 0.3, count), 0.0, trial, resamples=500) <= 0.05
        for trial in range(300)
    ]
    assert 0.73 <= np.mean(proven) <= 0.87
    assert needed_count(0.3, 0.0, alpha=0.05) == math.inf
    assert detectable(0.3, 0, alpha=0.05) == math.inf
