"""How often a grader is wrong, and how likely each of its flags is right. Pure, on arrays.

A grader *flags* a pair when it calls it relevant. Of irrelevant pairs it flags the share f (false
positives), of relevant ones the share t (true positives). Where few pairs are relevant most flags
are false, even at f = 0.1: one right chunk among twenty graded ones comes with two wrong flags.

The model: pair i is relevant with probability π(x_i) = sigmoid(w·x_i); a relevant pair is flagged
with probability t, an irrelevant one with f. f and t are measured on pairs whose relevance is known
(`shared_rates`), w is found by expectation maximization with f and t held, and what is wanted is
the posterior. That is V. Raykar et al., Learning from crowds, JMLR 11 (2010), section 2, with the
grader's sensitivity and specificity measured instead of estimated: from flags alone they cannot be
told apart from the prevalence (A. Dawid and A. Skene, Applied Statistics 28, 1979).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

PairValues = npt.NDArray[np.float64]
"""Shape (pairs,) unless said otherwise."""

#: Pull of the weights towards 0, in units of one pair; features have spread 1.
_RIDGE: Final = 1.0
_STEPS: Final = 60
_SETTLED: Final = 1e-5
_LOGIT_LIMIT: Final = 12.0
#: Candidate strengths of the prior that groups share, in pairs.
_STRENGTHS: Final = np.geomspace(5.0, 5_000.0, 31)
#: Shares of repeated errors that are tried.
_SHARES: Final = np.linspace(0.02, 0.98, 49)


@dataclass(frozen=True, slots=True)
class Rates:
    """Shares per group with their 95 % intervals; all of shape (groups,)."""

    value: PairValues
    low: PairValues
    high: PairValues


@dataclass(frozen=True, slots=True)
class Looks:
    """What a grader said of each pair, once or several times; arrays of shape (pairs,).

    Attributes:
        flags: how often the pair was flagged.
        looks: how often it was graded; 0 for a pair about which only `known` speaks.
        false_rate: the grader's f for pairs of this kind.
        true_rate: its t.
        known: 1 or 0 where the relevance is known, NaN elsewhere.
    """

    flags: PairValues
    looks: PairValues
    false_rate: PairValues
    true_rate: PairValues
    known: PairValues

    def part(self, chosen: npt.NDArray[np.bool_]) -> Looks:
        """The looks at some of the pairs."""
        return Looks(
            self.flags[chosen], self.looks[chosen], self.false_rate[chosen],
            self.true_rate[chosen], self.known[chosen],
        )  # fmt: skip

    def ratio(self, repeats: float = 0.0) -> PairValues:
        """log P(what was said | relevant) − log P(what was said | irrelevant).

        Args:
            repeats: share of errors that a second look repeats whatever it is shown; 0 when looks
                are independent, 1 when a second look says nothing new.
        """
        missed = self.looks - self.flags
        relevant = _said(self.flags, missed, self.true_rate, repeats)
        return relevant - _said(self.flags, missed, self.false_rate, repeats)


def _said(flags: PairValues, missed: PairValues, rate: PairValues, repeats: float) -> PairValues:
    """log P(looks), a mixture of independent looks and looks that all repeat the first."""
    rate = np.clip(rate, 1e-4, 1.0 - 1e-4)
    apart = np.exp(flags * np.log(rate) + missed * np.log1p(-rate))
    equal = np.where(missed == 0, rate, np.where(flags == 0, 1.0 - rate, 0.0))
    several = flags + missed > 1
    mixed = np.where(several, (1.0 - repeats) * apart + repeats * equal, apart)
    return np.log(np.maximum(mixed, 1e-300))


def shared_rates(
    hits: PairValues, tried: PairValues, prior_mean: float = 0.0, prior_pairs: float = 0.0
) -> Rates:
    """Share of hits per group, small groups drawn towards the share of all.

    Empirical Bayes (G. Casella, The American Statistician 39, 1985): the groups' shares come from
    one Beta distribution, whose strength is the one under which the counts are likeliest. Equal
    groups are pooled, different ones are not.

    Args:
        hits: shape (groups,).
        tried: shape (groups,); 0 is allowed, and such a group gets the share of all.
        prior_mean: what is believed before anything was tried.
        prior_pairs: how many pairs that belief is worth.
    """
    mean = (hits.sum() + prior_mean * prior_pairs + 0.5) / (tried.sum() + prior_pairs + 1.0)
    tables = [_beta_binomial(hits, tried, mean, each) for each in _STRENGTHS]
    strength = float(_STRENGTHS[int(np.argmax(tables))]) if len(hits) > 1 else 0.0
    alpha = hits + (strength + 1.0) * mean + prior_mean * prior_pairs
    beta = tried - hits + (strength + 1.0) * (1.0 - mean) + (1.0 - prior_mean) * prior_pairs
    total = alpha + beta
    value = alpha / total
    # However alike the groups, no more is known of one than was tried in all of them together.
    known = np.minimum(total, tried.sum() + prior_pairs + 1.0)
    # The normal interval on the logit scale keeps within 0 and 1.
    spread = 1.96 / np.sqrt(known * value * (1.0 - value))
    at = _logit(value)
    return Rates(value, _sigmoid(at - spread), _sigmoid(at + spread))


def _beta_binomial(hits: PairValues, tried: PairValues, mean: float, strength: float) -> float:
    """log-likelihood of the groups' counts under Beta(strength · mean, strength · (1 − mean))."""
    a, b = strength * mean, strength * (1.0 - mean)
    rising = (_log_rising(a, hits), _log_rising(b, tried - hits), _log_rising(a + b, tried))
    return float((rising[0] + rising[1] - rising[2]).sum())


def _log_rising(start: float, counts: PairValues) -> PairValues:
    """log of start · (start + 1) · … · (start + count − 1), per count."""
    longest = int(counts.max(initial=0))
    table = np.concatenate([[0.0], np.cumsum(np.log(start + np.arange(longest)))])
    return np.asarray(table[counts.astype(np.int64)], np.float64)


def tail_rate(features: PairValues, flagged: PairValues, share: float = 0.2) -> float:
    """Share flagged among the pairs that are least likely to be: f where nobody measured it.

    A trap where many of the graded pairs are relevant: then the tail is relevant as well, and what
    comes out is far above f. It is an upper bound of f, and near it where relevance is rare.

    Args:
        features: shape (pairs, features).
        flagged: 0 or 1 each.
    """
    unknown = np.full(len(flagged), np.nan)
    always, never = np.ones(len(flagged)), np.zeros(len(flagged))
    likely = prior_of(features, fit_prior(features, Looks(flagged, always, never, always, unknown)))
    tail = np.argsort(likely, kind="stable")[: max(1, round(share * len(likely)))]
    return float((flagged[tail].sum() + 0.5) / (len(tail) + 1.0))


def fit_prior(
    features: PairValues, said: Looks, repeats: float = 0.0, start: PairValues | None = None
) -> PairValues:
    """Weights w of π = sigmoid(w·x), by expectation maximization.

    Each round takes the posterior of every pair for its relevance and makes one Newton step of the
    ridge-regularised logistic regression, so the likelihood rises until it settles.

    Args:
        features: shape (pairs, features), spread 1; a constant column first, which is not pulled
            towards 0.
        start: weights of an earlier fit to nearly the same pairs, from which few rounds are left.

    Returns:
        Shape (features,).
    """
    pull = np.full(features.shape[1], _RIDGE)
    pull[0] = 1e-6
    ratio = said.ratio(repeats)
    weights = np.zeros(features.shape[1])
    share = float(np.mean(said.flags / np.maximum(said.looks, 1.0)))
    weights[0] = _logit(min(max(share, 0.02), 0.98))
    if start is not None:
        weights = start
    for _ in range(_STEPS):
        prior = prior_of(features, weights)
        wanted = posterior(prior, ratio, said.known)
        curvature = np.maximum(prior * (1.0 - prior), 1e-6)
        slope = features.T @ (wanted - prior) - pull * weights
        step = np.linalg.solve((features * curvature[:, None]).T @ features + np.diag(pull), slope)
        weights = weights + step
        if np.abs(step).max() < _SETTLED:
            break
    return weights


def repeated_share(prior: PairValues, said: Looks, before: float, worth: float) -> float:
    """The share of errors that a second look repeats, by the pairs that were graded several times.

    The likeliest share on a grid, drawn towards what is believed before. Which pairs are looked at
    again may depend on their first grade: that adds a factor in which the share does not occur.

    Args:
        prior: of each pair before any grade, shape (pairs,).
        before: the share without a second look, between 0 and 1.
        worth: how many second looks that belief is worth.
    """
    again = (said.looks > 1) & np.isnan(said.known)
    of, at = said.part(again), prior[again]
    missed = of.looks - of.flags

    def likelihood(share: float) -> float:
        relevant, irrelevant = (
            np.exp(_said(of.flags, missed, rate, share)) for rate in (of.true_rate, of.false_rate)
        )
        pairs = np.log(np.maximum(at * relevant + (1.0 - at) * irrelevant, 1e-300)).sum()
        believed = before * np.log(share) + (1.0 - before) * np.log1p(-share)
        return float(pairs + worth * believed)

    return float(max(_SHARES, key=likelihood))


def prior_of(features: PairValues, weights: PairValues) -> PairValues:
    """π of each pair: how likely it is to be relevant before the grader spoke."""
    return _sigmoid(np.clip(features @ weights, -_LOGIT_LIMIT, _LOGIT_LIMIT))


def posterior(prior: PairValues, ratio: PairValues, known: PairValues) -> PairValues:
    """How likely each pair is to be relevant after the grader spoke; what is known stays known."""
    believed = _sigmoid(_logit(np.clip(prior, 1e-9, 1.0 - 1e-9)) + ratio)
    return np.where(np.isnan(known), believed, known)


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Pairs that were predicted alike: mean prediction, share that came true, how many."""

    predicted: float
    observed: float
    pairs: int


def reliability(
    predicted: PairValues, came_true: PairValues, bins: int = 10
) -> tuple[ReliabilityBin, ...]:
    """Bins of equal size for a reliability diagram (A. Niculescu-Mizil, R. Caruana, ICML 2005)."""
    order = np.argsort(predicted, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    return tuple(
        ReliabilityBin(float(predicted[part].mean()), float(came_true[part].mean()), len(part))
        for part in parts
    )


def calibration_error(found: tuple[ReliabilityBin, ...]) -> float:
    """Mean distance of prediction and observation over the bins, weighted by pairs (ECE)."""
    total = sum(each.pairs for each in found)
    return sum(each.pairs * abs(each.predicted - each.observed) for each in found) / max(1, total)


def _sigmoid(values: PairValues) -> PairValues:
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * values)), np.float64)


def _logit(share: PairValues | float) -> PairValues:
    return np.asarray(np.log(share) - np.log1p(-np.asarray(share)), np.float64)
