"""Bootstrap intervals over clusters of queries. Pure, and equal for equal input and seed.

What is resampled is the cluster: paraphrases of one question share their outcome, and resampling
them one by one pretends to know more than was seen (C. A. Field and A. H. Welsh, Bootstrapping
clustered data, JRSS B 69(3), 2007: "the cluster bootstrap"). A weighted mean is the Hájek estimate,
sum(w x) / sum(w) with w = 1 / inclusion probability (C.-E. Särndal, B. Swensson and J. Wretman,
Model Assisted Survey Sampling, 1992, section 5.7); its denominator is resampled with it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

RESAMPLES = 10_000
CONFIDENCE = 0.95
_ROWS_AT_ONCE = 500
_Values = npt.NDArray[np.float64]
_Clusters = npt.NDArray[np.integer]


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean over queries with its 95 % interval (percentile bootstrap)."""

    value: float
    low: float
    high: float

    def __format__(self, spec: str) -> str:
        """`0.700 [0.670, 0.730]`: `spec` is that of each number."""
        return f"{self.value:{spec}} [{self.low:{spec}}, {self.high:{spec}}]"


def hajek_weights(inclusion_probabilities: _Values) -> _Values:
    """1 / probability, scaled to mean 1: what a sampled query stands for.

    Raises:
        ValueError: a probability is not in (0, 1].
    """
    bad = ~((inclusion_probabilities > 0) & (inclusion_probabilities <= 1))
    if bad.any():
        raise ValueError(
            f"inclusion probability {inclusion_probabilities[bad][0]} of query "
            f"{int(bad.argmax())}: it must be above 0 and at most 1"
        )
    weights: _Values = 1.0 / inclusion_probabilities
    return weights / weights.mean() if len(weights) else weights


def cluster_sums(
    values: _Values, weights: _Values | None = None, clusters: _Clusters | None = None
) -> tuple[_Values, _Values]:
    """Weighted sums of the values, and of the weights, per cluster in order of its number.

    Args:
        values: shape (queries, figures).
        weights: shape (queries,); equal ones when left out.
        clusters: shape (queries,), any number per cluster; every query is its own when left out.

    Returns:
        Shapes (clusters, figures) and (clusters,): their totals' ratio is the weighted mean.
    """
    of_query = np.ones(len(values)) if weights is None else weights
    weighted = values * of_query[:, None]
    if clusters is None:
        return weighted, of_query
    _, position = np.unique(clusters, return_inverse=True)
    sums = np.zeros((int(position.max(initial=-1)) + 1, values.shape[1]))
    np.add.at(sums, position, weighted)
    return sums, np.bincount(position, of_query).astype(np.float64)


def effective_count(sizes: _Values) -> float:
    """How many equal parts tell as much as these: sum(x)^2 / sum(x^2) (L. Kish, 1965)."""
    squares = float((sizes**2).sum())
    return float(np.abs(sizes).sum() ** 2 / squares) if squares > 0 else 0.0


def resampled_means(
    values: _Values,
    seed: int,
    resamples: int = RESAMPLES,
    *,
    weights: _Values | None = None,
    clusters: _Clusters | None = None,
) -> _Values:
    """Weighted means of bootstrap samples of clusters.

    All columns share each sample, so differences between columns are paired. With every query its
    own cluster and equal weights this is the ordinary bootstrap over queries.

    Args:
        values: shape (queries, figures), at least one query.
        weights: shape (queries,), above 0.
        clusters: shape (queries,), equal numbers for queries of one cluster.

    Returns:
        Shape (resamples, figures).
    """
    random = np.random.default_rng(seed)
    sums, totals = cluster_sums(values, weights, clusters)
    both = np.hstack([sums, totals[:, None]])
    count = len(both)
    means = np.empty((resamples, values.shape[1]))
    for start in range(0, resamples, _ROWS_AT_ONCE):
        rows = min(_ROWS_AT_ONCE, resamples - start)
        drawn = random.integers(0, count, (rows, count))
        # How often each was drawn turns all columns' means into one matrix product.
        flat = (drawn + np.arange(rows)[:, None] * count).ravel()
        counts = np.bincount(flat, minlength=rows * count).reshape(rows, count)
        product = counts @ both
        means[start : start + rows] = product[:, :-1] / product[:, -1:]
    return means


def intervals(
    values: _Values,
    seed: int,
    *,
    weights: _Values | None = None,
    clusters: _Clusters | None = None,
) -> list[Interval]:
    """The weighted mean of each column with its 95 % interval."""
    if len(values) == 0:
        return [Interval(0.0, 0.0, 0.0)] * values.shape[1]
    tail = (1.0 - CONFIDENCE) / 2.0
    means = resampled_means(values, seed, weights=weights, clusters=clusters)
    low, high = np.quantile(means, (tail, 1.0 - tail), axis=0)
    mean = np.average(values, axis=0, weights=weights)
    return [Interval(float(m), float(a), float(b)) for m, a, b in zip(mean, low, high, strict=True)]
