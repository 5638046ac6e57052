"""Faults: scripted first, then by rate, reproducibly."""

from collections import Counter

import pytest

from ragwheel.stack.llm.faults import FAULT_KINDS, Fault, Faults, parse_fault


def test_nothing_goes_wrong_until_told() -> None:
    assert [Faults().next() for _ in range(5)] == [None] * 5


def test_a_script_is_followed_in_order_and_then_over() -> None:
    faults = Faults()
    faults.script(Fault("refusal"), count=2)
    faults.script(Fault("hang"))
    kinds = [fault.kind if fault else None for fault in (faults.next() for _ in range(4))]
    assert kinds == ["refusal", "refusal", "hang", None]
    assert faults.counts == {"refusal": 2, "hang": 1}


def test_rates_are_met_and_a_seed_repeats_them() -> None:
    def run() -> list[str | None]:
        faults = Faults()
        faults.at_rates([(0.2, Fault("missing")), (0.1, Fault("server_error"))], seed=5)
        return [fault.kind if fault else None for fault in (faults.next() for _ in range(10_000))]

    kinds = run()
    counts = Counter(kinds)
    # Five standard deviations of the binomial.
    assert abs(counts["missing"] - 2_000) < 200
    assert abs(counts["server_error"] - 1_000) < 150
    assert run() == kinds


@pytest.mark.parametrize("rates", [[1.1], [-0.1], [0.6, 0.6]])
def test_impossible_rates_are_refused(rates: list[float]) -> None:
    with pytest.raises(ValueError, match="add up to at most 1"):
        Faults().at_rates([(rate, Fault("hang")) for rate in rates], seed=0)


def test_clearing_ends_all_faults() -> None:
    faults = Faults()
    faults.script(Fault("hang"), 9)
    faults.at_rates([(1.0, Fault("hang"))], seed=0)
    faults.clear()
    assert faults.next() is None


@pytest.mark.parametrize("kind", FAULT_KINDS)
def test_every_kind_is_read_from_json(kind: str) -> None:
    assert parse_fault({"kind": kind, "seconds": 2}).seconds == 2.0


@pytest.mark.parametrize(
    "raw",
    [
        {},
        {"kind": "meteor"},
        [],
        {"kind": "hang", "seconds": -1},
        {"kind": "hang", "seconds": True},
    ],
)
def test_an_unknown_fault_is_refused(raw: object) -> None:
    with pytest.raises(ValueError, match="must be"):
        parse_fault(raw)
