"""How much proof repeated gates must bring: earlier looks, and the error that is left. Pure.

Whoever tests one candidate after the other finds "proof" in the end: in ten gates at 5 % an equal
system is promoted at least once with a probability of 40 %. So a series of gates spends one budget.
A series begins with a promotion, for another model serves then, or with the first gate.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ragwheel.measuring.proofs import spent_alpha

#: What a gate on fresh queries may spend however many came before, as a share of alpha: the
#: first ten gates of a series spend 0.96 alpha with it.
FRESH_SHARE = 1 / 40


@dataclass(frozen=True, slots=True)
class PastGate:
    """A gate that a judge decided; one that was refused before is no look.

    Attributes:
        promoted: whether it ended in a promotion.
        query_hashes: the queries that it looked at.
    """

    gate_id: str
    promoted: bool
    query_hashes: frozenset[str]


@dataclass(frozen=True, slots=True)
class AlphaLeft:
    """What the next gate may spend.

    Attributes:
        alpha: accepted probability that it promotes a model that is no better.
        look: 1 for the first gate of a series.
        fresh: share of its queries that no gate of the series looked at.
    """

    alpha: float
    look: int
    fresh: float

    def __str__(self) -> str:
        """In words, for the reason of a verdict."""
        return f"look {self.look} of this series, {self.fresh:.0%} of its queries fresh"


def alpha_left(past: Sequence[PastGate], query_hashes: Sequence[str], alpha: float) -> AlphaLeft:
    """The level of a gate on these queries, so that its series errs with about `alpha` in all.

    On the same queries a series without end errs with at most `alpha` (`spent_alpha`). Fresh
    queries give back what would otherwise shrink to nothing: `FRESH_SHARE` of it at each gate, in
    proportion to how many of the queries are fresh.

    Args:
        past: all earlier gates, oldest first.
    """
    series = _series(past)
    used = frozenset().union(*(gate.query_hashes for gate in series))
    fresh = sum(each not in used for each in query_hashes) / max(1, len(query_hashes))
    look = len(series) + 1
    level = max(spent_alpha(look, alpha), FRESH_SHARE * alpha * fresh)
    return AlphaLeft(level, look, fresh)


def freshest(past: Sequence[PastGate], query_hashes: Sequence[str], limit: int) -> list[str]:
    """At most `limit` queries, those that the fewest gates of the series looked at first.

    Their order decides among equals: give them in random order and the choice is random.
    """
    uses = Counter(each for gate in _series(past) for each in gate.query_hashes)
    return sorted(query_hashes, key=uses.__getitem__)[:limit]


def _series(past: Sequence[PastGate]) -> Sequence[PastGate]:
    """The gates since the last promotion."""
    last = max((at for at, gate in enumerate(past) if gate.promoted), default=-1)
    return past[last + 1 :]
