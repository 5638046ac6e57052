"""Tests of a weighted mean of paired differences between clusters of queries. Pure.

Two questions are asked of a difference, and they need different tools:

- *Is it above (or below) this?* `p_above`. With few clusters that differ at all the bootstrap is
  wrong in the dangerous direction: three wins and no loss leave exp(-3) < 5 % of its samples
  without a win, while a fair coin gives three heads in 12.5 %. There sign flips replace it.
- *Can a loss of that size be excluded?* `cautious_low`. Neither of the two can answer where nothing
  differs: both see no variance and would exclude everything.
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from ragwheel.measuring.intervals import RESAMPLES, cluster_sums, effective_count, resampled_means

#: Below this many clusters that differ (effectively: one large cluster among small ones counts for
#: few) the sign-flip test replaces the bootstrap. An equal system whose queries are won or lost
#: whole is rejected by the bootstrap at 5 % in 6.2, 5.5, 5.8 and 4.9 % of cases with 7, 10, 20 and
#: 30 of them, at 0.25 % in 0.8 % with 7: the two tests agree from about 30 on, and at the small
#: levels of later looks from about 50.
FEW_DISCORDANT = 50
#: With fewer clusters nothing about a loss can be excluded.
_FEWEST_CLUSTERS = 4
#: Up to here all sign patterns are counted, above they are drawn.
_ENUMERATED = 13
_ROWS_AT_ONCE = 2_000
_Values = npt.NDArray[np.float64]
_Clusters = npt.NDArray[np.integer]


def sign_flip_p(sums: _Values, seed: int, flips: int = RESAMPLES) -> float:
    """Probability of a total at least this high if each cluster's sign were a coin's.

    Exact for an equal system, whose differences are as likely as their opposites, whatever the
    sizes of the clusters (R. A. Fisher, The Design of Experiments, 1935, section 21; few clusters:
    I. A. Canay, J. P. Romano and A. M. Shaikh, Randomization tests under an approximate symmetry
    assumption, Econometrica 85(3), 2017). With equal sizes it is the sign test.

    Args:
        sums: shape (clusters,); clusters of 0 do not matter.
        flips: patterns that are drawn when there are too many to count all.
    """
    sums = sums[sums != 0]
    # Sums of equal terms in another order differ in the last bits.
    total = float(sums.sum()) - 1e-9 * float(np.abs(sums).sum())
    if len(sums) <= _ENUMERATED:
        patterns = np.arange(2 ** len(sums))[:, None] >> np.arange(len(sums)) & 1
        return float((((2.0 * patterns - 1.0) @ sums) >= total).mean())
    random = np.random.default_rng(seed)
    reached = 0
    for start in range(0, flips, _ROWS_AT_ONCE):
        rows = min(_ROWS_AT_ONCE, flips - start)
        signs = random.integers(0, 2, (rows, len(sums)), np.int8)
        reached += int(((2.0 * signs - 1.0) @ sums >= total).sum())
    # The pattern that was seen is one of them: never exactly 0.
    return (reached + 1) / (flips + 1)


def p_above(
    values: _Values,
    limit: float,
    seed: int,
    *,
    weights: _Values | None = None,
    clusters: _Clusters | None = None,
    resamples: int = RESAMPLES,
) -> float:
    """p-value of "the mean is not above `limit`": small when it is proven to be.

    Args:
        values: shape (queries,), paired differences; without any, 1.
        limit: at least 0; for "below -limit" pass the opposite values. A negative limit would ask
            whether a loss is excluded, which is `cautious_low`'s question.
    """
    if limit < 0:
        raise ValueError(f"limit {limit}: must not be below 0; use cautious_low")
    sums, totals = cluster_sums(values[:, None], weights, clusters)
    if effective_count(sums[:, 0]) < FEW_DISCORDANT:
        return sign_flip_p(sums[:, 0] - limit * totals, seed, resamples) if sums.any() else 1.0
    means = resampled_means(values[:, None], seed, resamples, weights=weights, clusters=clusters)
    return float(((means <= limit).sum() + 1) / (resamples + 1))


def cautious_low(
    values: _Values,
    alpha: float,
    *,
    weights: _Values | None = None,
    clusters: _Clusters | None = None,
) -> float:
    """One-sided lower bound of a mean of values in [-1, 1], honest where few or none differ.

    A score bound: the lowest mean that would not be rejected with the variance that it implies. To
    lower the mean by d, clusters that were not seen to lose must lose, which adds d to the second
    moment; so the bound D below the mean solves D^2 = t^2 / n (variance + D + mean^2 - (mean -
    D)^2). It is never closer than the rule of three allows: what makes a share p of n clusters lose
    shows in none of them with probability (1 - p)^n. Agreement is never certainty. (E. B. Wilson,
    JASA 22, 1927; for paired proportions T. Tango, Statistics in Medicine 17(8), 1998; J. A. Hanley
    and A. Lippman-Hand, JAMA 249(13), 1983; here for clusters, n being their effective count.)
    """
    mean, deviation, count = spread(values, weights=weights, clusters=clusters)
    if count < _FEWEST_CLUSTERS:
        return -1.0
    share = student_quantile(1 - alpha, count - 1) ** 2 / count
    linear = share * (1 + 2 * mean)
    root = math.sqrt(linear**2 + 4 * (1 + share) * share * deviation**2)
    score = mean - (linear + root) / (2 * (1 + share))
    return max(-1.0, min(score, mean + math.log(alpha) / count))


def spread(
    values: _Values, *, weights: _Values | None = None, clusters: _Clusters | None = None
) -> tuple[float, float, float]:
    """Mean, deviation and effective count of clusters: deviation^2 / count is the mean's variance.

    With every query its own cluster and equal weights: mean, standard deviation, number of queries.
    """
    sums, totals = cluster_sums(values[:, None], weights, clusters)
    count, whole = effective_count(totals), float(totals.sum())
    if whole == 0:
        return 0.0, 0.0, 0.0
    mean = float(sums.sum() / whole)
    squares = float(((sums[:, 0] - mean * totals) ** 2).sum())
    return mean, math.sqrt(count * squares) / whole, count


def holm(p_values: npt.ArrayLike, alpha: float) -> npt.NDArray[np.bool_]:
    """Which hypotheses are rejected at `alpha` for all of them together.

    S. Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of
    Statistics 6(2), 1979. Holds whatever the dependence.
    """
    values = np.asarray(p_values, np.float64)
    order = np.argsort(values, kind="stable")
    passed = values[order] <= alpha / (len(values) - np.arange(len(values)))
    rejected = np.zeros(len(values), np.bool_)
    rejected[order] = np.logical_and.accumulate(passed)
    return rejected


def spent_alpha(look: int, alpha: float) -> float:
    """What the `look`-th test (1, 2, ...) of a series without end may spend: alpha / (k (k + 1)).

    All looks together spend `alpha` at most, whatever their dependence and number, since the terms
    telescope. The first has half, for the first candidate of a series usually gains most. (A
    discrete spending function: K. K. G. Lan and D. L. DeMets, Biometrika 70(3), 1983; for a series
    of hypotheses D. P. Foster and R. A. Stine, Alpha-investing, JRSS B 70(2), 2008.)
    """
    if look < 1:
        raise ValueError(f"look {look}: looks are counted from 1")
    return alpha / (look * (look + 1))


def student_quantile(probability: float, freedom: float) -> float:
    """Quantile of Student's t by the Cornish-Fisher expansion.

    M. Abramowitz and I. A. Stegun, Handbook of Mathematical Functions, 26.7.5. Within 2 % from 3
    degrees of freedom on for probabilities to 0.99.
    """
    z = NormalDist().inv_cdf(probability)
    return (
        z
        + (z**3 + z) / (4 * freedom)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * freedom**3)
    )


def detectable(deviation: float, count: float, alpha: float, power: float = 0.8) -> float:
    """The smallest difference from the limit that is proven with this power (one-sided).

    J. Cohen, Statistical Power Analysis for the Behavioral Sciences, 1988: (z_alpha + z_power) sd /
    sqrt(n).

    Args:
        deviation: standard deviation of the paired differences of clusters.
        count: effective number of clusters.
    """
    if count <= 0:
        return math.inf
    return _both_z(alpha, power) * deviation / math.sqrt(count)


def needed_count(deviation: float, distance: float, alpha: float, power: float = 0.8) -> float:
    """How many clusters prove a difference that is `distance` away from the limit; may be inf."""
    if distance <= 0:
        return math.inf
    return (_both_z(alpha, power) * deviation / distance) ** 2


def _both_z(alpha: float, power: float) -> float:
    normal = NormalDist()
    return normal.inv_cdf(1 - alpha) + normal.inv_cdf(power)
