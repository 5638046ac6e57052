"""Bootstrap intervals: right width, paired, and the same for the same seed."""

from __future__ import annotations

import numpy as np
import pytest

from ragwheel.measuring.intervals import (
    Interval,
    effective_count,
    hajek_weights,
    intervals,
    resampled_means,
)


def test_the_interval_has_the_width_of_the_normal_theory() -> None:
    values = np.random.default_rng(1).normal(2.0, 1.0, (400, 1))
    [interval] = intervals(values, seed=0)
    assert interval.value == pytest.approx(values.mean())
    half = 1.96 * values.std() / 20
    assert interval.low == pytest.approx(interval.value - half, abs=0.02)
    assert interval.high == pytest.approx(interval.value + half, abs=0.02)


def test_coverage_is_what_is_promised() -> None:
    rng = np.random.default_rng(2)
    hits = 0
    for repeat in range(200):
        [interval] = intervals(rng.binomial(1, 0.6, (80, 1)).astype(float), seed=repeat)
        hits += interval.low <= 0.6 <= interval.high
    assert 0.89 <= hits / 200 <= 0.99


def test_columns_share_their_resamples_so_differences_are_paired() -> None:
    base = np.random.default_rng(3).normal(size=(200, 1))
    means = resampled_means(np.hstack([base, base + 0.5]), seed=0)
    np.testing.assert_allclose(means[:, 1] - means[:, 0], 0.5, atol=1e-12)


def test_equal_seeds_give_equal_intervals_and_others_differ() -> None:
    values = np.random.default_rng(4).normal(size=(50, 2))
    assert intervals(values, seed=7) == intervals(values, seed=7)
    assert intervals(values, seed=7) != intervals(values, seed=8)


def test_no_queries_have_no_width() -> None:
    assert intervals(np.zeros((0, 2)), seed=0) == [Interval(0, 0, 0)] * 2


def test_an_interval_is_written_with_the_format_of_its_numbers() -> None:
    assert f"{Interval(0.7, 0.67, 0.73):.3f}" == "0.700 [0.670, 0.730]"
    assert f"{Interval(0.08, -0.06, 0.1):+.2f}" == "+0.08 [-0.06, +0.10]"


def test_with_every_query_its_own_cluster_it_is_the_ordinary_bootstrap() -> None:
    values = np.random.default_rng(5).normal(size=(70, 2))
    plain = resampled_means(values, seed=3)
    same = resampled_means(values, seed=3, weights=np.full(70, 2.0), clusters=np.arange(70))
    np.testing.assert_allclose(same, plain, rtol=0, atol=1e-12)


def test_copies_of_a_query_in_one_cluster_do_not_narrow_the_interval() -> None:
    values = np.random.default_rng(6).normal(size=(60, 1))
    [once] = intervals(values, seed=1)
    copies, clusters = np.repeat(values, 8, axis=0), np.repeat(np.arange(60), 8)
    [clustered] = intervals(copies, seed=1, clusters=clusters)
    [naive] = intervals(copies, seed=1)
    assert (clustered.low, clustered.high) == pytest.approx((once.low, once.high))
    assert naive.high - naive.low < 0.5 * (once.high - once.low)


def test_coverage_holds_for_clusters_of_paraphrases() -> None:
    rng = np.random.default_rng(7)
    hits = 0
    for repeat in range(100):
        clusters = np.repeat(np.arange(80), rng.geometric(0.25, 80))
        values = (0.6 + rng.normal(0, 1, 80))[clusters] + rng.normal(0, 0.3, len(clusters))
        [found] = intervals(values[:, None], repeat, clusters=clusters)
        hits += found.low <= 0.6 <= found.high
    assert 0.87 <= hits / 100 <= 0.99


def test_weights_undo_the_sampling() -> None:
    # Traffic: 90 % easy queries (0.9) and 10 % hard ones (0.3); sampled at 2 % and 100 %.
    rng = np.random.default_rng(8)
    easy = rng.random(9_000) < 0.02
    values = np.concatenate([np.full(int(easy.sum()), 0.9), np.full(1_000, 0.3)])[:, None]
    probabilities = np.concatenate([np.full(int(easy.sum()), 0.02), np.ones(1_000)])
    [weighted] = intervals(values, seed=0, weights=hajek_weights(probabilities))
    assert weighted.value == pytest.approx(0.84, abs=0.03)
    assert values.mean() < 0.45


@pytest.mark.parametrize("bad", [0.0, -0.1, 1.5, np.nan])
def test_a_probability_that_is_none_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="of query 1"):
        hajek_weights(np.array([0.5, bad]))


def test_the_effective_count_is_that_of_equal_parts() -> None:
    assert effective_count(np.ones(7)) == pytest.approx(7)
    assert effective_count(np.array([100.0, 1.0, 1.0])) < 1.1
    assert effective_count(np.zeros(3)) == 0
