"""The gate promotes on proof alone, and says what is missing."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from ragwheel.trainers.proof.evaluation import METRICS, RECALL_AT_10, PerQuery
from ragwheel.trainers.proof.gate import GateRules, Verdict, decide

RULES = GateRules(min_queries=200)


def per_query(
    before: NDArray[np.float64], after: NDArray[np.float64], judged: float = 1.0
) -> PerQuery:
    tables = []
    for values in (before, after):
        table = np.zeros((len(values), len(METRICS)))
        table[:, RECALL_AT_10] = values
        tables.append(table)
    return PerQuery(np.arange(len(before)), tables[0], tables[1], judged, 0)


def gate(
    before: NDArray[np.float64],
    after: NDArray[np.float64],
    segments: list[str] | None = None,
    *,
    judged: float = 1.0,
    rules: GateRules = RULES,
    seed: int = 0,
) -> Verdict:
    names = segments or ["all"] * len(before)
    return decide(per_query(before, after, judged), names, rules, seed=seed)


def hits(rng: np.random.Generator, share: float, count: int) -> NDArray[np.float64]:
    return rng.binomial(1, share, count).astype(float)


def better(
    rng: np.random.Generator, before: NDArray[np.float64], share: float
) -> NDArray[np.float64]:
    """Turn `share` of the misses into hits."""
    return np.maximum(before, hits(rng, share, len(before)))


def test_without_a_real_difference_at_most_one_in_twenty_is_promoted() -> None:
    # Both systems hit each query with the same probability, independently: the widest spread.
    rng = np.random.default_rng(11)
    trials = 600
    rules = GateRules(min_queries=200, resamples=1_000)
    naive = promoted = refused_for_a_segment = 0
    for trial in range(trials):
        ease = rng.beta(2, 1, 250)
        before, after = rng.binomial(1, ease).astype(float), rng.binomial(1, ease).astype(float)
        segments = rng.choice(["a", "b", "c", "d", "e"], 250).tolist()
        verdict = gate(before, after, segments, rules=rules, seed=trial)
        naive += after.mean() > before.mean()
        promoted += verdict.action == "promoted"
        refused_for_a_segment += bool(verdict.worse_segments)
    # Three standard errors of a 5 % rate in 600 trials are 2.7 points.
    assert promoted / trials <= 0.05 + 0.027
    assert refused_for_a_segment / trials <= 0.05 + 0.027
    assert naive / trials > 0.35


def test_a_clear_gain_is_promoted() -> None:
    rng = np.random.default_rng(1)
    before = hits(rng, 0.6, 400)
    verdict = gate(before, better(rng, before, 0.4))
    assert verdict.action == "promoted"
    assert verdict.gain_low > 0
    assert "no segment worse" in verdict.reason


def test_the_same_model_again_is_refused() -> None:
    before = hits(np.random.default_rng(2), 0.6, 400)
    verdict = gate(before, before.copy())
    assert verdict.action == "refused"
    assert "no gain" in verdict.reason


def test_a_worse_model_is_refused() -> None:
    rng = np.random.default_rng(3)
    after = hits(rng, 0.5, 400)
    assert gate(better(rng, after, 0.5), after).action == "refused"


def test_too_few_queries_are_shadow_with_the_number_that_is_missing() -> None:
    rng = np.random.default_rng(4)
    before = hits(rng, 0.5, 120)
    verdict = gate(before, better(rng, before, 0.6))
    assert (verdict.action, verdict.missing_queries) == ("shadow", 80)
    assert "80 more judged queries" in verdict.reason


def test_a_small_gain_is_shadow_with_the_queries_that_would_prove_it() -> None:
    # 9 queries won, 5 lost of 250.
    before, after = np.zeros(250), np.zeros(250)
    after[:9], before[9:14] = 1, 1
    verdict = gate(before, after)
    assert verdict.action == "shadow"
    assert verdict.missing_queries > 500
    # That many queries of the same kind do prove it.
    copies = -(-(250 + verdict.missing_queries) // 250)
    assert gate(np.tile(before, copies), np.tile(after, copies)).action == "promoted"


def test_unjudged_results_hold_a_promotion_back() -> None:
    rng = np.random.default_rng(5)
    before = hits(rng, 0.5, 400)
    verdict = gate(before, better(rng, before, 0.5), judged=0.7)
    assert verdict.action == "shadow"
    assert "70%" in verdict.reason


def test_a_segment_that_lost_stops_a_promotion_by_name() -> None:
    rng = np.random.default_rng(6)
    before = hits(rng, 0.6, 500)
    after = better(rng, before, 0.6)
    after[400:] = before[400:] * hits(rng, 0.6, 100)
    segments = ["code"] * 400 + ["tables"] * 100
    verdict = gate(before, after, segments)
    assert after.mean() > before.mean()
    assert (verdict.action, verdict.worse_segments) == ("refused", ("tables",))
    assert "tables" in verdict.reason


def test_a_handful_of_unlucky_queries_is_no_segment() -> None:
    rng = np.random.default_rng(7)
    before = hits(rng, 0.6, 400)
    after = better(rng, before, 0.5)
    before[:3], after[:3] = 1, 0
    verdict = gate(before, after, ["tiny"] * 3 + ["big"] * 397)
    assert verdict.action == "promoted"


def test_a_judge_that_made_training_labels_is_no_judge() -> None:
    rng = np.random.default_rng(8)
    before = hits(rng, 0.5, 400)
    verdict = decide(
        per_query(before, better(rng, before, 0.5)), ["all"] * 400, RULES, seed=0,
        label_graders=frozenset({"model-a@1"}), judge_grader="model-a@1",
    )  # fmt: skip
    assert verdict.action == "refused"
    assert "RAGWHEEL_JUDGE_MODEL" in verdict.reason


def test_nothing_judged_is_shadow() -> None:
    verdict = gate(np.zeros(0), np.zeros(0))
    assert (verdict.action, verdict.missing_queries) == ("shadow", 200)


@pytest.mark.parametrize("seed", [0, 1])
def test_the_verdict_is_a_function_of_its_input(seed: int) -> None:
    rng = np.random.default_rng(9)
    before = hits(rng, 0.6, 300)
    after = better(rng, before, 0.1)
    assert gate(before, after, seed=seed) == gate(before, after, seed=seed)
