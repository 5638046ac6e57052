"""A cheap look before a judge is paid: is a candidate proven worse on its own dev queries? Pure.

Dev labels know only what the *incumbent* retrieved. A loss of hits over the corpus proves nothing:
every candidate that is as good but different has one, since what it brings from elsewhere has no
label and pushes the labeled chunks down. So two questions are asked whose answers are safe:

- *Order*: does it order the graded chunks of a query worse? Here the bias is to the other side: the
  incumbent chose these chunks, hence the wrong ones are those that *it* scores high, and the
  candidate finds them easier to tell apart (selection on one of two correlated scores; J. Berkson,
  Biometrics Bulletin 2(3), 1946).
- *Collapse*: does it find less than a quarter of the answers that the incumbent finds? No system
  that is as good, and errs in part on the same queries, comes near that.

A gain is neither proven nor claimed.

Grades are taken at their word. Beliefs that were learnt from the incumbent's ranking doubt what it
ranks low and reward whoever repeats its order: in simulation up to 97 % of equal systems were
refused with them, and none without. (`lanes.restraint` says why a difference between two orders of
one list needs no correction for the grader's errors.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ragwheel.measuring.intervals import Interval, intervals
from ragwheel.measuring.proofs import holm, p_above
from ragwheel.measuring.rank_metrics import RELEVANT_GRADE, ndcg
from ragwheel.trainers.proof.evaluation import METRIC_DEPTH, Floats, JudgedPair

#: An equal system whose errors correlate by .3 or more with the incumbent's keeps more than this
#: share of its hits, also where both find only every fifth answer.
_COLLAPSE = 0.25


@dataclass(frozen=True, slots=True)
class GradedList:
    """The graded chunks of one dev query, and what both systems score them.

    Attributes:
        pairs: shape (chunks,); their grades count, their beliefs do not.
        before: shape (chunks,), scores by the incumbent; -inf for what it does not return.
        after: the same by the candidate.
        cluster: equal for near-duplicate queries.
        weight: what the query stands for.
        hits: whether a relevant chunk is among the first ten of the whole index, by incumbent and
            by candidate; None where nobody looked.
    """

    pairs: Sequence[JudgedPair]
    before: Floats
    after: Floats
    cluster: int
    weight: float = 1.0
    hits: tuple[bool, bool] | None = None


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
    lists: Sequence[GradedList], *, seed: int, alpha: float = 0.05
) -> Equivalence:
    """Whether a loss is proven. Without queries nothing is.

    Args:
        alpha: for both questions together.
    """
    for at, each in enumerate(lists):
        for who, scores in (("incumbent", each.before), ("candidate", each.after)):
            if np.isnan(scores).any():
                said = f"{who} scores dev query {at} with NaN: its weights are not finite"
                return Equivalence(Interval(0.0, 0.0, 0.0), len(lists), said)
    useful = [each for each in lists if any(pair.grade >= RELEVANT_GRADE for pair in each.pairs)]
    if not useful:
        return Equivalence(Interval(0.0, 0.0, 0.0), 0, "")
    ties = np.random.default_rng(seed)
    delta = np.array([_change(each, ties) for each in useful])
    weights = np.array([each.weight for each in useful], np.float64)
    clusters = np.array([each.cluster for each in useful])
    [change] = intervals(delta[:, None], seed, weights=weights, clusters=clusters)
    hits = np.array([each.hits or (False, False) for each in useful], np.float64)
    order, collapse = holm(
        [
            p_above(-delta, 0.0, seed, weights=weights, clusters=clusters),
            p_above(hits @ [_COLLAPSE, -1], 0.0, seed, weights=weights, clusters=clusters),
        ],
        alpha,
    ).tolist()
    said = ""
    if collapse:
        before, after = np.average(hits, axis=0, weights=weights)
        said = (
            f"it finds {after:.0%} of the known answers among the first {METRIC_DEPTH}, less than "
            f"a quarter of the incumbent's {before:.0%}"
        )
    elif order:
        said = (
            f"nDCG@{METRIC_DEPTH} over graded chunks fell by {-100 * change.value:.1f} points (95% "
            f"interval {100 * change.low:+.1f} to {100 * change.high:+.1f})"
        )
    if said:
        said += f", on {len(useful)} dev queries; no judge was asked"
    return Equivalence(change, len(useful), said)


def _change(each: GradedList, ties: np.random.Generator) -> float:
    """Difference of nDCG over the list; equal scores are ordered by chance."""
    of_pairs = np.exp2([float(pair.grade) for pair in each.pairs]) - 1.0
    chance = ties.permutation(len(of_pairs))
    ranked = np.stack([of_pairs[np.lexsort((chance, -s))] for s in (each.before, each.after)])
    before, after = ndcg(ranked, np.stack([of_pairs, of_pairs]), METRIC_DEPTH)
    return float(after - before)
