"""The gate promotes on proof alone, and says what is missing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.rigs.gate_world import Gate, discordant, measured, simulate

from ragwheel.trainers.proof.evaluation import METRICS, UNSEEN_ANSWERS, JudgedShare, Measurement
from ragwheel.trainers.proof.gate import Costs, Verdict, decide
from ragwheel.trainers.proof.guards import OTHERS, GateRules

RULES = GateRules(min_queries=200, resamples=2_000)
#: For rates over many gates.
FAST = replace(RULES, resamples=1_000)
Hits = NDArray[np.float64]


def gate(
    before: Hits, after: Hits, segments: Sequence[str] | None = None, seed: int = 0
) -> Verdict:
    """A verdict on hits (1, at rank 1) and misses (0) of whole queries."""
    names = np.array(segments or ["all"] * len(before), object)
    ranks = [np.where(each > 0, 1.0, 99.0) for each in (before, after)]
    found = measured(Gate(ranks[0], ranks[1], names, np.arange(len(before))))
    return decide(found, RULES, seed=seed)


def hits(rng: np.random.Generator, share: float, count: int) -> Hits:
    return rng.binomial(1, share, count).astype(float)


def better(rng: np.random.Generator, before: Hits, share: float) -> Hits:
    """Turn `share` of the misses into hits."""
    return np.maximum(before, hits(rng, share, len(before)))


def good() -> Measurement:
    """A gate that is passed."""
    return measured(simulate(np.random.default_rng(20), 400, gain=0.1))


def share_of(action: str, trials: int, verdict: Callable[[int], Verdict]) -> float:
    return float(np.mean([verdict(trial).action == action for trial in range(trials)]))


@pytest.mark.parametrize("cluster_size", [1, 2, 4, 8])
def test_without_a_real_difference_at_most_one_in_twenty_is_promoted(cluster_size: int) -> None:
    rng = np.random.default_rng(cluster_size)

    def verdict(trial: int) -> Verdict:
        found = measured(simulate(rng, 300, cluster_size=cluster_size))
        return decide(found, FAST, seed=trial)

    # Three standard errors of 5 % in 150 trials are 5.3 points; the bench has the narrow figure.
    assert share_of("promoted", 150, verdict) <= 0.05 + 0.053


@pytest.mark.parametrize("differ", [3, 4, 7, 12])
def test_a_handful_of_differences_promotes_no_oftener(differ: int) -> None:
    rng = np.random.default_rng(differ)
    trials = 300
    promoted = share_of(
        "promoted",
        trials,
        lambda trial: decide(measured(discordant(rng, 250, differ)), FAST, seed=trial),
    )
    assert promoted <= 0.05 + 3 * (0.05 * 0.95 / trials) ** 0.5


@pytest.mark.parametrize("queries", [20, 40, 80])
def test_a_segment_that_truly_loses_ten_points_is_not_promoted(queries: int) -> None:
    rng = np.random.default_rng(queries)
    segments = np.array(["bad"] * queries + ["good"] * (500 - queries), object)
    gain = np.where(segments == "bad", -0.1, 0.08)

    def verdict(trial: int) -> Verdict:
        found = measured(simulate(rng, 500, gain=gain, segments=segments))
        return decide(found, FAST, seed=trial)

    assert share_of("promoted", 40, verdict) <= 0.05 + 0.1


def test_a_true_gain_is_promoted() -> None:
    rng = np.random.default_rng(5)

    def verdict(trial: int) -> Verdict:
        return decide(measured(simulate(rng, 400, gain=0.1)), FAST, seed=trial)

    assert share_of("promoted", 20, verdict) >= 0.9


def test_a_promotion_says_what_was_excluded() -> None:
    verdict = decide(good(), RULES, seed=0)
    assert verdict.action == "promoted"
    assert verdict.gain_low > 0
    assert "pooled recall@10" in verdict.reason
    assert "no segment worse" in verdict.reason
    assert {guard.name for guard in verdict.guards} == {"all", "recall@1", "mrr@10", "ndcg@10"}


def test_the_same_model_again_is_refused_and_doing_nothing_is_the_answer() -> None:
    before = hits(np.random.default_rng(2), 0.6, 400)
    verdict = gate(before, before.copy())
    assert verdict.action == "refused"
    assert "no gain" in verdict.reason
    assert "do nothing" in verdict.reason


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
    # 12 queries won, 5 lost of 250.
    before, after = np.zeros(250), np.zeros(250)
    after[:12], before[12:17] = 1, 1
    verdict = gate(before, after)
    assert verdict.action == "shadow"
    assert verdict.missing_queries > 300
    assert "not proven" in verdict.reason
    # That many queries of the same kind do prove it.
    copies = -(-(250 + verdict.missing_queries) // 250)
    assert gate(np.tile(before, copies), np.tile(after, copies)).action == "promoted"


def test_a_gain_within_the_minimum_effect_is_not_promoted_however_sure() -> None:
    before, after = np.zeros(10_000), np.zeros(10_000)
    after[:45] = 1
    verdict = gate(before, after)
    assert verdict.gain_low > 0
    assert verdict.action == "shadow"


def test_a_later_look_asks_for_more() -> None:
    rng = np.random.default_rng(12)
    found = measured(simulate(rng, 400, gain=0.05))
    assert decide(found, RULES, seed=0, alpha=0.05).action == "promoted"
    late = decide(found, RULES, seed=0, alpha=0.0005)
    assert (late.action, late.alpha) == ("shadow", 0.0005)


def test_the_system_with_the_most_unjudged_results_holds_a_promotion_back() -> None:
    found = good()
    coverage = {"incumbent": JudgedShare(1.0, 0.7, 0.7), "candidate": JudgedShare(0.85, 0.6, 0.8)}
    verdict = decide(replace(found, coverage=coverage), RULES, seed=0)
    assert verdict.action == "shadow"
    assert "only 85% of the top 10 were judged for candidate" in verdict.reason
    assert "between 0.60 and 0.80" in verdict.reason


def test_unjudged_results_count_against_the_candidate() -> None:
    found = good()
    floors = dict(found.floors)
    floors["candidate"] = found.values["incumbent"] + 0.001
    verdict = decide(replace(found, floors=floors), RULES, seed=0)
    assert verdict.action == "shadow"


def test_a_segment_that_lost_stops_a_promotion_by_name() -> None:
    rng = np.random.default_rng(6)
    before = hits(rng, 0.6, 500)
    after = better(rng, before, 0.6)
    after[400:] = before[400:] * hits(rng, 0.6, 100)
    verdict = gate(before, after, ["code"] * 400 + ["tables"] * 100)
    assert after.mean() > before.mean()
    assert (verdict.action, verdict.worse_segments) == ("refused", ("tables",))
    assert "tables" in verdict.reason


def test_a_loss_that_cannot_be_excluded_is_unproven_with_the_queries_that_are_missing() -> None:
    rng = np.random.default_rng(7)
    before = hits(rng, 0.6, 400)
    after = better(rng, before, 0.5)
    before[:25], after[:25] = 1, 1
    before[:2], after[2:4] = 0, 0
    verdict = gate(before, after, ["few"] * 25 + ["many"] * 375)
    assert verdict.action == "shadow"
    assert "a loss of 10 points is not excluded in few" in verdict.reason
    [unproven] = [guard for guard in verdict.guards if guard.outcome == "unproven"]
    assert unproven.name == "few"
    assert verdict.missing_queries == unproven.missing_queries > 20


def test_a_shadow_also_names_the_segments_that_nothing_is_proven_of() -> None:
    rng = np.random.default_rng(11)
    before = hits(rng, 0.6, 60)
    verdict = gate(before, better(rng, before, 0.5), ["tiny"] * 5 + ["big"] * 55)
    assert verdict.action == "shadow"
    assert "unproven by itself: tiny (5 queries, at least 15 more are needed)" in verdict.reason


def test_tiny_segments_are_guarded_together() -> None:
    segments = [f"tiny{number}" for number in range(10) for _ in range(12)] + ["many"] * 280
    rng = np.random.default_rng(8)
    before = hits(rng, 0.5, 400)
    verdict = gate(before, better(rng, before, 0.5), segments)
    assert verdict.action == "promoted"
    assert f"{OTHERS} (tiny0, tiny1" in verdict.reason
    assert "tiny0 (12 queries, at least 8 more are needed)" in verdict.reason
    assert "tiny4 (12 queries, at least 8 more are needed) and 5 smaller" in verdict.reason
    after = better(rng, before, 0.8)
    after[:120] = before[:120] * hits(rng, 0.5, 120)
    assert gate(before, after, segments).action == "refused"


def test_a_handful_of_queries_is_named_as_unguarded_and_blocks_nobody() -> None:
    rng = np.random.default_rng(9)
    before = hits(rng, 0.6, 400)
    after = better(rng, before, 0.5)
    before[:3], after[:3] = 1, 0
    verdict = gate(before, after, ["tiny"] * 3 + ["big"] * 397)
    assert (verdict.action, verdict.unguarded) == ("promoted", ("tiny",))
    assert "unproven by itself: tiny (3 queries, at least 17 more are needed)" in verdict.reason


@pytest.mark.parametrize("metric", [("recall", 1), ("mrr", 10), ("ndcg", 10)])
def test_a_gain_in_depth_is_not_paid_for_at_the_top(metric: tuple[str, int]) -> None:
    found = good()
    values = {name: table.copy() for name, table in found.values.items()}
    column = METRICS.index(metric)
    lost = np.random.default_rng(1).random(400) < 0.15
    values["candidate"][:, column] = values["incumbent"][:, column] - lost
    verdict = decide(replace(found, values=values, floors=values), RULES, seed=0)
    assert verdict.action == "refused"
    assert verdict.worse_segments == (f"{metric[0]}@{metric[1]}",)


def test_answers_that_were_not_trained_on_are_guarded() -> None:
    rng = np.random.default_rng(10)
    seen = np.arange(500) < 400
    found = measured(simulate(rng, 500, gain=np.where(seen, 0.15, -0.2)))
    verdict = decide(replace(found, seen=seen), RULES, seed=0)
    assert verdict.action == "refused"
    assert UNSEEN_ANSWERS in verdict.worse_segments


def test_a_judge_that_made_training_labels_is_no_judge() -> None:
    verdict = decide(
        good(), RULES, seed=0, label_graders=frozenset({"model-a@1"}), judge_grader="model-a@1"
    )
    assert verdict.action == "refused"
    assert "RAGWHEEL_JUDGE_MODEL" in verdict.reason


@pytest.mark.parametrize(
    ("costs", "action", "said"),
    [
        (Costs(latency_ms=30.0), "refused", "latency 30 ms is above the budget of 20 ms"),
        (Costs(latency_ms=10.0), "promoted", ""),
        (Costs(), "shadow", "latency was not measured"),
        (None, "shadow", "latency was not measured"),
    ],
)
def test_budgets_are_kept(costs: Costs | None, action: str, said: str) -> None:
    rules = replace(RULES, max_latency_ms=20.0)
    verdict = decide(good(), rules, seed=0, costs=costs)
    assert verdict.action == action
    assert said in verdict.reason


def test_nothing_judged_is_shadow() -> None:
    verdict = gate(np.zeros(0), np.zeros(0))
    assert (verdict.action, verdict.missing_queries) == ("shadow", 200)


@pytest.mark.parametrize("seed", [0, 1])
def test_the_verdict_is_a_function_of_its_input(seed: int) -> None:
    rng = np.random.default_rng(9)
    before = hits(rng, 0.6, 300)
    after = better(rng, before, 0.1)
    assert gate(before, after, seed=seed) == gate(before, after, seed=seed)
