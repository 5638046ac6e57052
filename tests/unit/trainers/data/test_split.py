"""On which side a query stands: near-duplicates together, for ever, and in the shares asked for."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.rigs.trainer_world import NOON

from ragwheel.schemas import identity
from ragwheel.trainers.data.clusters import NEAR_COSINE, Neighbours
from ragwheel.trainers.data.records import SampledQuery
from ragwheel.trainers.data.sides import SIDES_FILE, SidesError, read_sides, write_sides
from ragwheel.trainers.data.split import Membership, Sides, assign_sides, draw_order, part_of

SHARE = 0.25
DIMENSION = 24


def query(text: str, minute: int = 0) -> SampledQuery:
    at = NOON + timedelta(minutes=minute)
    return SampledQuery(
        identity.query_hash(text), text, f"id of {text}", "default", at, "all", 0.5, 1, (), at
    )


def name(number: int) -> str:
    """A text that is no near-duplicate of another number's."""
    return random.Random(number).randbytes(20).hex()


class Traffic:
    """Queries in clusters whose members are near to each other, by embedding."""

    def __init__(self, sizes: Sequence[int], seed: int = 0, spread: float = 0.12) -> None:
        rng = np.random.default_rng(seed)
        owner = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
        centres = rng.standard_normal((len(sizes), DIMENSION))
        centres /= np.linalg.norm(centres, axis=1, keepdims=True)
        vectors = centres[owner] + spread * rng.standard_normal((len(owner), DIMENSION)) / 4
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        self.queries = [query(name(seed * 1_000_000 + at), at) for at in range(len(owner))]
        self.owner = {
            each.query_hash: int(of) for each, of in zip(self.queries, owner, strict=True)
        }
        self._vectors = {
            each.query_hash: row
            for each, row in zip(self.queries, vectors.astype(np.float32), strict=True)
        }

    def vectors(self, queries: Sequence[SampledQuery]) -> np.ndarray:
        return np.array([self._vectors[each.query_hash] for each in queries]).reshape(-1, DIMENSION)

    def assign(self, queries: Sequence[SampledQuery], known: Sides | None = None) -> Sides:
        return assign_sides(queries, self.vectors(queries), SHARE, known or Sides())


def apart(queries: Sequence[SampledQuery]) -> np.ndarray:
    return np.eye(len(queries), dtype=np.float32)


def crossing(queries: Sequence[SampledQuery], vectors: np.ndarray, sides: Sides) -> list[str]:
    """Near-duplicates that are used on different sides."""
    neighbours = Neighbours([each.query for each in queries], vectors)
    return [
        f"{a.query} / {b.query}"
        for found in neighbours.before(0, len(queries))
        for a, b in (
            (queries[one], queries[other])
            for one, other in zip(found.later, found.earlier, strict=True)
        )
        if "aside" not in (pair := {sides.part(a.query_hash), sides.part(b.query_hash)})
        and len(pair) > 1
    ]


@pytest.mark.parametrize("seed", range(4))
def test_whatever_the_order_of_arrival_a_query_keeps_its_side_and_no_pair_crosses(
    seed: int,
) -> None:
    # So wide that clusters touch: there are bridges and chains.
    traffic = Traffic([1] * 100 + [5] * 30 + [40] * 3, seed, spread=0.45)
    rng = random.Random(seed)
    waiting = rng.sample(traffic.queries, len(traffic.queries))
    sides, seen = Sides(), list[SampledQuery]()
    while waiting:
        seen, waiting = seen + waiting[: rng.randint(1, 120)], waiting[rng.randint(1, 120) :]
        seen = list({each.query_hash: each for each in seen}.values())
        grown = traffic.assign(rng.sample(seen, len(seen)), sides)
        assert {each: grown.of[each] for each in sides.of} == sides.of
        assert grown.of.keys() == {each.query_hash for each in seen}
        sides = grown
        assert crossing(seen, traffic.vectors(seen), sides) == []


def test_a_new_paraphrase_joins_the_cluster_and_side_of_an_earlier_one() -> None:
    traffic = Traffic([10] * 40)
    sides = traffic.assign(traffic.queries[:200])
    for each in traffic.queries[200:]:
        sides = traffic.assign([*traffic.queries[:200], each], sides)
    for of_cluster in _by_owner(traffic, sides).values():
        assert len(of_cluster) == 1, "one leader and one part"


def test_the_same_question_in_another_spelling_is_on_the_same_side() -> None:
    # T6: "how do i parse json?" was in the gate, the same without "?" in train.
    texts = [f"How do I {name(number)} it?" for number in range(200)]
    first = [query(text, 0) for text in texts]
    later = [query(text.upper().removesuffix("?") + " please", 1) for text in texts]
    sides = assign_sides([*first, *later], apart([*first, *later]), SHARE, Sides())
    assert [sides.of[each.query_hash] for each in later] == [
        sides.of[each.query_hash] for each in first
    ]
    assert {sides.part(each.query_hash) for each in first} == {"train", "dev", "gate"}


def test_a_query_near_to_both_sides_is_used_by_neither_and_draws_nobody() -> None:
    low = np.radians(24)  # cos .9135 to its neighbour; .669 between those two apart
    angles = np.array([0, 2 * low, low, low])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    train, gate = _dealt("train"), _dealt("gate")
    bridge, like_the_bridge = query("some bridge", 2), query("another text of all", 3)
    asked = [train, gate, bridge, like_the_bridge]
    sides = assign_sides(asked, vectors, SHARE, Sides())
    assert [sides.part(each.query_hash) for each in asked] == ["train", "gate", "aside", "aside"]
    # With the two sides gone it is near to nobody who is used, and dealt a side of its own.
    alone = assign_sides([bridge, like_the_bridge], vectors[2:], SHARE, sides)
    assert alone == sides
    third = query("a third text", 4)
    known = Sides({bridge.query_hash: sides.of[bridge.query_hash]})
    found = assign_sides([bridge, third], vectors[2:], SHARE, known)
    assert found.of[third.query_hash] == Membership(
        third.query_hash, part_of(third.query_hash, SHARE)
    )


def test_a_chain_shares_a_side_and_makes_no_cluster() -> None:
    angles = np.radians(20) * np.arange(12)
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    chain = [query(name(number), number) for number in range(12)]
    sides = assign_sides(chain, vectors, SHARE, Sides())
    assert len({sides.part(each.query_hash) for each in chain}) == 1
    row = {each.query_hash: at for at, each in enumerate(chain)}
    for each in chain:
        leader = row[sides.leader(each.query_hash)]
        assert vectors[row[each.query_hash]] @ vectors[leader] >= NEAR_COSINE - 1e-6


def test_parts_keep_near_their_shares_when_clusters_are_as_unequal_as_traffic() -> None:
    shares = []
    for seed in range(6):
        traffic = Traffic([max(1, int(60 / rank)) for rank in range(1, 700)], seed)
        counts = traffic.assign(traffic.queries).counts()
        used = sum(counts.values()) - counts["aside"]
        shares.append((counts["gate"] / used, counts["dev"] / used))
        assert shares[-1][0] == pytest.approx(SHARE, abs=0.08)
    assert np.mean(shares, axis=0) == pytest.approx([0.25, 0.075], abs=0.03)


def test_a_cluster_of_forty_percent_is_on_one_side_and_does_not_disturb_the_others() -> None:
    parts, rest = Counter[str](), list[float]()
    for seed in range(40):
        traffic = Traffic([80] + [1] * 120, seed)
        found = traffic.assign(traffic.queries)
        [part] = {found.part(each) for each, of in traffic.owner.items() if of == 0}
        parts[part] += 1
        others = [found.part(each) for each, of in traffic.owner.items() if of != 0]
        rest.append(others.count("gate") / len(others))
    assert parts["gate"] / 40 == pytest.approx(SHARE, abs=0.2)
    assert np.mean(rest) == pytest.approx(SHARE, abs=0.03)


@pytest.mark.parametrize("count", [3, 4, 5, 9])
def test_a_tiny_set_has_all_three_parts(count: int) -> None:
    for seed in range(20):
        asked = [query(name(seed * 100 + number)) for number in range(count)]
        counts = assign_sides(asked, apart(asked), SHARE, Sides()).counts()
        assert min(counts[part] for part in ("train", "dev", "gate")) >= 1


def test_a_set_that_is_too_small_for_all_parts_trains_first_and_is_held_out_next() -> None:
    one, two = query(name(1)), query(name(2))
    assert assign_sides([one], apart([one]), SHARE, Sides()).counts()["train"] == 1
    counts = assign_sides([one, two], apart([one, two]), SHARE, Sides()).counts()
    assert (counts["train"], counts["gate"]) == (1, 1)


def test_raising_the_share_moves_only_queries_that_are_yet_to_come() -> None:
    asked = [query(name(number)) for number in range(600)]
    before = assign_sides(asked[:300], apart(asked[:300]), 0.1, Sides())
    after = assign_sides(asked, apart(asked), 0.8, before)
    assert {each: after.of[each] for each in before.of} == before.of
    new = [after.part(each.query_hash) for each in asked[300:]]
    assert new.count("gate") / 300 == pytest.approx(0.8, abs=0.1)


def test_a_query_whose_text_is_no_longer_known_keeps_its_side() -> None:
    gone = Sides({"gone": Membership("gone", "gate")})
    assert assign_sides([], np.zeros((0, 2), np.float32), SHARE, gone) == gone


def test_the_draw_order_is_not_the_split() -> None:
    hashes = [identity.query_hash(f"q{number}") for number in range(4_000)]
    gate = [each for each in hashes if part_of(each, SHARE) == "gate"]
    assert sum(draw_order(each) for each in gate) / len(gate) == pytest.approx(0.5, abs=0.04)


def _by_owner(traffic: Traffic, sides: Sides) -> dict[int, set[Membership]]:
    found: dict[int, set[Membership]] = defaultdict(set)
    for query_hash, owner in traffic.owner.items():
        if query_hash in sides.of:
            found[owner].add(sides.of[query_hash])
    return found


def _dealt(part: str) -> SampledQuery:
    """The first query that is dealt this part."""
    numbers = iter(range(1_000))
    return next(
        each for each in map(query, map(name, numbers)) if part_of(each.query_hash, SHARE) == part
    )


def test_sides_survive_a_restart(tmp_path: Path) -> None:
    asked = [query(name(number)) for number in range(50)]
    sides = assign_sides(asked, apart(asked), SHARE, Sides())
    path = tmp_path / "models" / SIDES_FILE
    assert read_sides(path) == Sides()
    write_sides(path, sides)
    assert read_sides(path) == sides
    assert [each.name for each in path.parent.iterdir()] == [SIDES_FILE]


@pytest.mark.parametrize("damage", ["cut", "changed", "another table"])
def test_damaged_sides_are_refused_and_not_dealt_anew(tmp_path: Path, damage: str) -> None:
    path = tmp_path / SIDES_FILE
    write_sides(path, Sides({name(number): Membership("leader", "gate") for number in range(500)}))
    content = bytearray(path.read_bytes())
    if damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "changed":
        content[len(content) // 3] ^= 0xFF
        path.write_bytes(content)
    else:
        pq.write_table(pa.table({"query_hash": ["a"]}), path)
    with pytest.raises(SidesError, match=r"sides\.parquet is damaged .*snapshots/"):
        read_sides(path)
