"""Which queries train, which choose, which decide: sides are dealt to clusters of near-duplicates.

A query keeps its side for ever. A new one goes to the side of its nearest earlier near-duplicate;
one that is near to queries of two sides is *aside*, used by neither, so that no pair of
near-duplicates is ever learnt from and judged by. A query that is near to none is dealt a side by a
hash of itself: each query is held out with the same probability, whatever the size of its cluster,
and mean figures of the held-out queries are unbiased. The price is variance: a cluster with 40 % of
the queries is on one side with all of them, and the others are dealt as if it were not there.

Clusters are those of leader clustering (Hartigan, Clustering Algorithms, 1975, chapter 3): the
members of a cluster are near to its first query, its leader, not only to one another. Hence chains
make no large clusters, though they share a side, and a bridge joins one cluster and merges none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Literal, NamedTuple

import numpy as np

from ragwheel.models.encoder import Vectors
from ragwheel.trainers.data.clusters import Neighbours, normal_form
from ragwheel.trainers.data.records import SampledQuery

Part = Literal["train", "dev", "gate", "aside"]
#: In the order in which a set that is too small for all of them gets them.
USED_PARTS: tuple[Part, ...] = ("train", "gate", "dev")

#: Of the queries that are not held out for the gate, the share that checks a finished model before
#: a judge is paid.
DEV_SHARE = 0.1
_BITS = 56
_BLOCK = 1_024
_NONE = -1.0


class Membership(NamedTuple):
    """Where a query stands.

    Attributes:
        leader: query hash of the first query of its cluster; its own where it leads.
    """

    leader: str
    part: Part


@dataclass(frozen=True, slots=True)
class Sides:
    """The side of every query that was ever seen, by query hash."""

    of: Mapping[str, Membership] = field(default_factory=dict)

    def part(self, query_hash: str) -> Part:
        """The part of a query; `aside` of one that has no side yet."""
        side = self.of.get(query_hash)
        return side.part if side else "aside"

    def leader(self, query_hash: str) -> str:
        """The cluster of a query; itself where it has no side yet."""
        side = self.of.get(query_hash)
        return side.leader if side else query_hash

    def counts(self) -> dict[str, int]:
        """Queries per part."""
        found = Counter(side.part for side in self.of.values())
        return {part: found[part] for part in (*USED_PARTS, "aside")}


def assign_sides(
    queries: Sequence[SampledQuery], vectors: Vectors, gate_share: float, known: Sides
) -> Sides:
    """Give every query that has no side its side, in order of first appearance.

    Args:
        vectors: unit vectors of the queries by the base model, in their order.
        gate_share: applies to the queries that are new; those with a side keep it.
        known: sides so far. Queries of it that are not among `queries` keep their side, but their
            near-duplicates can no longer be told.

    Returns:
        `known` and the new ones. All three parts have a query, if the new queries allow it.
    """
    order = sorted(
        range(len(queries)),
        key=lambda row: (
            queries[row].query_hash not in known.of, queries[row].first_ts, queries[row].query_hash,
        ),
    )  # fmt: skip
    hashes = [queries[row].query_hash for row in order]
    texts = [queries[row].query for row in order]
    neighbours = Neighbours(texts, vectors[order])
    forms = [normal_form(text) for text in texts]
    dealing = _Dealing(hashes, forms, known, gate_share, {})
    found = dealing.run(neighbours)
    if forced := _missing_parts(found, dealing.roots):
        found = _Dealing(hashes, forms, known, gate_share, forced).run(neighbours)
    return found


def part_of(query_hash: str, gate_share: float) -> Part:
    """The part of a query that is near to no earlier one."""
    if _uniform(query_hash, "gate") < gate_share:
        return "gate"
    return "dev" if _uniform(query_hash, "dev") < DEV_SHARE else "train"


def draw_order(query_hash: str) -> float:
    """A stable uniform number: the first n queries by it are a random sample of all."""
    return _uniform(query_hash, "order")


class _Dealing:
    """One pass over the queries in order of first appearance, those with a side first.

    What is near to a query is kept as the closest per group, not as a list: a group is a part and
    whether the earlier query leads a cluster.
    """

    def __init__(
        self, hashes: Sequence[str], forms: Sequence[str], known: Sides, gate_share: float,
        forced: Mapping[str, Part],
    ) -> None:  # fmt: skip
        self._hashes, self._forms = hashes, forms
        self._gate_share, self._forced = gate_share, forced
        self._sides = dict(known.of)
        self._group = np.full(len(hashes), -1)
        self._first_of_form: dict[str, int] = {}
        self._old = 0
        for row, query_hash in enumerate(hashes):
            if query_hash in known.of:
                self._old = row + 1
                self._settle(row, known.of[query_hash])
        #: New queries that are near to no earlier one.
        self.roots: list[str] = []

    def run(self, neighbours: Neighbours) -> Sides:
        """Deal all queries without a side."""
        for start in range(self._old, len(self._hashes), _BLOCK):
            self._block(neighbours, start, min(start + _BLOCK, len(self._hashes)))
        return Sides(self._sides)

    def _block(self, neighbours: Neighbours, start: int, stop: int) -> None:
        groups = 2 * len(USED_PARTS)
        closest = np.full((stop - start, groups), _NONE)
        at = np.zeros((stop - start, groups), np.int64)
        inside = np.full((stop - start, stop - start), _NONE)
        for later, earlier, closeness in neighbours.before(start, stop):
            here = earlier >= start
            np.maximum.at(inside, (earlier[here] - start, later[here] - start), closeness[here])
            group = self._group[earlier]
            used = ~here & (group >= 0)
            _keep_closest(
                closest, at, later[used] - start, group[used], earlier[used], closeness[used]
            )
        for row in range(start, stop):
            same = self._first_of_form.get(self._forms[row])
            if same is not None:
                # The same question: it belongs to the same cluster.
                leads = 2 * USED_PARTS.index(self._sides[self._hashes[same]].part) + 1
                closest[row - start, leads], at[row - start, leads] = 1.0, same
            self._settle(row, self._choose(row, closest[row - start], at[row - start]))
            group = self._group[row]
            if group >= 0:
                nearer = inside[row - start] > closest[:, group]
                closest[nearer, group] = inside[row - start, nearer]
                at[nearer, group] = row

    def _choose(self, row: int, closest: np.ndarray, at: np.ndarray) -> Membership:
        """The side of a query from the closest earlier query of each group."""
        own = self._hashes[row]
        near = np.flatnonzero(closest >= 0)
        parts = {USED_PARTS[group // 2] for group in near.tolist()}
        if not parts:
            self.roots.append(own)
            return Membership(own, self._forced.get(own) or part_of(own, self._gate_share))
        leads = [group for group in near.tolist() if group % 2]
        leader = own
        if leads:
            nearest = at[max(leads, key=closest.__getitem__)]
            leader = self._sides[self._hashes[nearest]].leader
        return Membership(leader, parts.pop() if len(parts) == 1 else "aside")

    def _settle(self, row: int, side: Membership) -> None:
        self._sides[self._hashes[row]] = side
        if side.part == "aside":
            return  # used by neither side, it draws nobody to one
        self._first_of_form.setdefault(self._forms[row], row)
        leads = side.leader == self._hashes[row]
        self._group[row] = 2 * USED_PARTS.index(side.part) + int(leads)


def _keep_closest(
    closest: np.ndarray, at: np.ndarray, row: np.ndarray, group: np.ndarray,
    earlier: np.ndarray, closeness: np.ndarray,
) -> None:  # fmt: skip
    """Note pairs that are closer than what is known; of equally close ones the earliest."""
    order = np.lexsort((-earlier, closeness))
    row, group, earlier, closeness = (each[order] for each in (row, group, earlier, closeness))
    nearer = closeness > closest[row, group]
    # Of repeated indices the last assignment holds: the closest.
    closest[row[nearer], group[nearer]] = closeness[nearer]
    at[row[nearer], group[nearer]] = earlier[nearer]


def _missing_parts(found: Sides, roots: Sequence[str]) -> dict[str, Part]:
    """Parts for some of the queries that were dealt one by hash, so that no part stays empty."""
    counts = found.counts()
    spare = {part: [root for root in roots if found.of[root].part == part] for part in USED_PARTS}
    forced: dict[str, Part] = {}
    for part in USED_PARTS:
        if counts[part]:
            continue
        after = USED_PARTS.index(part)
        givers = [
            each
            for rank, each in enumerate(USED_PARTS)
            if spare[each] and (counts[each] > 1 or rank > after)
        ]
        if not givers:
            continue
        giver = max(givers, key=lambda each: len(spare[each]))
        moved = min(spare[giver], key=lambda root: _uniform(root, part))
        spare[giver].remove(moved)
        counts[giver], counts[part] = counts[giver] - 1, 1
        forced[moved] = part
    return forced


def _uniform(query_hash: str, purpose: str) -> float:
    raw = blake2b(query_hash.encode(), digest_size=_BITS // 8, person=purpose.encode()).digest()
    return int.from_bytes(raw, "big") / float(1 << _BITS)
