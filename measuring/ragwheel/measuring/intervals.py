"""Bootstrap intervals over queries. Pure, and equal for equal input and seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

RESAMPLES = 10_000
CONFIDENCE = 0.95
_ROWS_AT_ONCE = 500
_Values = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean over queries with its 95 % interval (percentile bootstrap)."""

    value: float
    low: float
    high: float

    def __format__(self, spec: str) -> str:
        """`0.700 [0.670, 0.730]`: `spec` is that of each number."""
        return f"{self.value:{spec}} [{self.low:{spec}}, {self.high:{spec}}]"


def resampled_means(values: _Values, seed: int, resamples: int = RESAMPLES) -> _Values:
    """Means of bootstrap samples of queries.

    All columns share each sample, so differences between columns are paired.

    Args:
        values: shape (queries, figures), at least one query.

    Returns:
        Shape (resamples, figures).
    """
    random = np.random.default_rng(seed)
    queries = len(values)
    means = np.empty((resamples, values.shape[1]))
    for start in range(0, resamples, _ROWS_AT_ONCE):
        rows = min(_ROWS_AT_ONCE, resamples - start)
        drawn = random.integers(0, queries, (rows, queries))
        # How often each query was drawn turns all columns' means into one matrix product.
        flat = (drawn + np.arange(rows)[:, None] * queries).ravel()
        counts = np.bincount(flat, minlength=rows * queries).reshape(rows, queries)
        means[start : start + rows] = counts @ values / queries
    return means


def intervals(values: _Values, seed: int) -> list[Interval]:
    """The mean of each column with its 95 % interval."""
    if len(values) == 0:
        return [Interval(0.0, 0.0, 0.0)] * values.shape[1]
    tail = (1.0 - CONFIDENCE) / 2.0
    low, high = np.quantile(resampled_means(values, seed), (tail, 1.0 - tail), axis=0)
    mean = values.mean(axis=0)
    return [Interval(float(m), float(a), float(b)) for m, a, b in zip(mean, low, high, strict=True)]
