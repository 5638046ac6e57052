"""A cheap look before a judge is paid: is a candidate proven worse on its own dev queries? Pure.

Dev labels know only what the *incumbent* retrieved. Counted over the corpus that refuses every
candidate that is as good but different: what it brings from elsewhere has no label and pushes the
labeled chunks down. So both are compared on the order in which they put the graded chunks of a
query, and on nothing else. There the bias is to the other side: the incumbent chose these chunks,
hence the wrong ones among them are those that *it* scores high, and the candidate finds them easier
to tell apart (selection on one of two correlated scores; J. Berkson, Biometrics Bulletin 2(3),
1946). A loss that is proven here is therefore a loss; a gain is none, and none is claimed.

Beliefs that were learnt from the incumbent's ranking favour its order. `margin` allows for that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ragwheel.measuring.intervals import Interval, intervals
from ragwheel.measuring.proofs import p_above
from ragwheel.measuring.rank_metrics import gains, ndcg
from ragwheel.trainers.proof.evaluation import METRIC_DEPTH, Floats, JudgedPair


@dataclass(frozen=True, slots=True)
class GradedList:
    """The graded chunks of one dev query, and what both systems score them.

    Attributes:
        pairs: shape (chunks,).
        before: shape (chunks,), scores by the incumbent; -inf for what it does not return.
        after: the same by the candidate.
        cluster: equal for near-duplicate queries.
        weight: what the query stands for.
    """

    pairs: Sequence[JudgedPair]
    before: Floats
    after: Floats
    cluster: int
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Equivalence:
    """What the dev queries say.

    Attributes:
        change: mean difference of nDCG@10 over graded chunks.
        queries: that had something to order.
        refusal: why the candidate is not worth a judge; empty when it is.
    """

    change: Interval
    queries: int
    refusal: str


def check_equivalence(
    lists: Sequence[GradedList], *, seed: int, alpha: float = 0.05, margin: float = 0.02
) -> Equivalence:
    """Whether a loss of more than `margin` is proven. Without queries nothing is.

    Args:
        margin: in nDCG@10.
    """
    for at, each in enumerate(lists):
        for who, scores in (("incumbent", each.before), ("candidate", each.after)):
            if np.isnan(scores).any():
                said = f"{who} scores dev query {at} with NaN: its weights are not finite"
                return Equivalence(Interval(0.0, 0.0, 0.0), len(lists), said)
    useful = [each for each in lists if any(pair.belief > 0 for pair in each.pairs)]
    if not useful:
        return Equivalence(Interval(0.0, 0.0, 0.0), 0, "")
    ties = np.random.default_rng(seed)
    delta = np.array([_change(each, ties) for each in useful])
    # As in the gate, a query counts as far as it probably has something relevant.
    weights = np.array(
        [each.weight * (1 - np.prod([1 - pair.belief for pair in each.pairs])) for each in useful]
    )
    clusters = np.array([each.cluster for each in useful])
    [change] = intervals(delta[:, None], seed, weights=weights, clusters=clusters)
    loss = p_above(-delta, margin, seed, weights=weights, clusters=clusters)
    if loss > alpha:
        return Equivalence(change, len(useful), "")
    said = (
        f"nDCG@{METRIC_DEPTH} over graded chunks fell by {-100 * change.value:.1f} points (95% "
        f"interval {100 * change.low:+.1f} to {100 * change.high:+.1f}) on {len(useful)} dev "
        "queries; no judge was asked"
    )
    return Equivalence(change, len(useful), said)


def _change(each: GradedList, ties: np.random.Generator) -> float:
    """Difference of nDCG over the list; equal scores are ordered by chance."""
    of_pairs = np.array([gains(*pair) for pair in each.pairs], np.float64)
    shuffled = ties.permutation(len(of_pairs))
    found = [
        ndcg(of_pairs[shuffled[np.argsort(-scores[shuffled], kind="stable")]][None],
             of_pairs[None], METRIC_DEPTH)[0]
        for scores in (each.before, each.after)
    ]  # fmt: skip
    return float(found[1] - found[0])
