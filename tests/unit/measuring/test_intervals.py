"""Bootstrap intervals: right width, paired, and the same for the same seed."""

from __future__ import annotations

import numpy as np
import pytest

from ragwheel.measuring.intervals import Interval, intervals, resampled_means


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
