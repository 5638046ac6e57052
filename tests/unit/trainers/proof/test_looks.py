"""A series of gates spends one budget; fresh queries give some of it back, a promotion all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.rigs.gate_world import measured, simulate
from tests.rigs.trainer_world import NOON, World

from ragwheel.models.registry import ModelRegistry
from ragwheel.models.vectors import VectorCache
from ragwheel.trainers.data.records import GateLook
from ragwheel.trainers.parts import Parts
from ragwheel.trainers.proof.gate import decide
from ragwheel.trainers.proof.guards import GateRules
from ragwheel.trainers.proof.looks import PastGate, alpha_left, freshest
from ragwheel.trainers.settle import Look, Memory


def past(number: int, queries: list[str], *, promoted: bool = False) -> PastGate:
    return PastGate(f"gate{number}", promoted, frozenset(queries))


QUERIES = [f"q{number}" for number in range(100)]


def test_the_first_gate_has_half_and_the_next_less() -> None:
    first = alpha_left([], QUERIES, 0.05)
    second = alpha_left([past(1, QUERIES)], QUERIES, 0.05)
    assert (first.alpha, first.look, first.fresh) == (0.025, 1, 1.0)
    assert second.alpha == pytest.approx(0.05 / 6)
    assert (second.look, second.fresh) == (2, 0.0)
    assert str(second) == "look 2 of this series, 0% of its queries fresh"


def test_any_number_of_gates_on_the_same_queries_spends_the_budget_once() -> None:
    series: list[PastGate] = []
    spent = 0.0
    for number in range(300):
        spent += alpha_left(series, QUERIES, 0.05).alpha
        series.append(past(number, QUERIES))
    assert spent < 0.05


def test_ten_gates_on_fresh_queries_spend_it_once_and_the_hundredth_can_still_promote() -> None:
    series: list[PastGate] = []
    spent = []
    for number in range(100):
        fresh = [f"{number}-{each}" for each in QUERIES]
        spent.append(alpha_left(series, fresh, 0.05).alpha)
        series.append(past(number, fresh))
    assert sum(spent[:10]) <= 0.05
    assert spent[-1] == pytest.approx(0.05 / 40)
    # The same hundredth look at used queries may spend ten times less.
    assert alpha_left(series, fresh, 0.05).alpha < spent[-1] / 10


def test_a_promotion_begins_a_new_series() -> None:
    series = [past(1, QUERIES), past(2, QUERIES, promoted=True)]
    assert alpha_left(series, QUERIES, 0.05).look == 1
    assert alpha_left([*series, past(3, QUERIES)], QUERIES, 0.05).look == 2


def test_fresh_queries_come_first_in_their_order() -> None:
    series = [past(1, ["b", "d"]), past(2, ["d"])]
    assert freshest(series, ["d", "c", "b", "a"], 3) == ["c", "a", "b"]


@pytest.mark.parametrize("fresh", [False, True], ids=["same queries", "fresh queries"])
def test_ten_gates_in_a_row_promote_an_equal_model_at_most_once_in_twenty_series(
    fresh: bool,
) -> None:
    rules = GateRules(resamples=1_000)
    rng = np.random.default_rng(4)
    series_count, promoted = 30, 0
    for number in range(series_count):
        series: list[PastGate] = []
        for look in range(10):
            asked = [f"{look if fresh else 0}-{each}" for each in range(250)]
            level = alpha_left(series, asked, rules.alpha).alpha
            found = measured(simulate(rng, 250))
            if decide(found, rules, seed=10 * number + look, alpha=level).action == "promoted":
                promoted += 1
                break
            series.append(past(look, asked))
    assert promoted / series_count <= 0.05 + 0.12


def test_a_trainer_on_a_new_disk_knows_the_gates_that_others_decided(tmp_path: Path) -> None:
    store = World({}, [], {}, [])
    store.gates = [GateLook("landed", "shadow", NOON, frozenset({"a", "b"}))]
    parts = Parts(
        store=store, judge=None, registry=ModelRegistry(tmp_path), cache=VectorCache(tmp_path),  # type: ignore[arg-type]
        publish=lambda event: None, now=lambda: NOON,
    )  # fmt: skip
    assert alpha_left(parts.past_gates(), ["a"], 0.05).look == 2
    # Its own are known before they have landed, and are one look afterwards.
    own = Look(gate_id="own", promoted=False, query_hashes=("a",))
    parts.settlement.remember(Memory(looks=(own,)))
    assert [each.gate_id for each in parts.past_gates()] == ["landed", "own"]
    store.gates.append(GateLook("own", "shadow", NOON, frozenset({"a"})))
    assert [each.gate_id for each in parts.past_gates()] == ["landed", "own"]


def test_an_own_promotion_that_clickhouse_forgot_begins_no_series_anew(tmp_path: Path) -> None:
    store = World({}, [], {}, [])
    parts = Parts(
        store=store, judge=None, registry=ModelRegistry(tmp_path), cache=VectorCache(tmp_path),  # type: ignore[arg-type]
        publish=lambda event: None, now=lambda: NOON,
    )  # fmt: skip
    looks = (
        Look(gate_id="first", promoted=True, query_hashes=("a",)),
        Look(gate_id="second", promoted=False, query_hashes=("a",)),
    )
    parts.settlement.remember(Memory(looks=looks))
    store.gates = [GateLook("second", "shadow", NOON, frozenset({"a"}))]
    assert [each.gate_id for each in parts.past_gates()] == ["first", "second"]
    assert alpha_left(parts.past_gates(), ["a"], 0.05).look == 2
