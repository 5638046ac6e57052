"""Promotion is proof: the decision, and why, in words. Pure.

A candidate is promoted when its gain in pooled recall@10 is proven to exceed a minimum effect, and
a loss beyond a margin is *excluded* in every segment, for the answers that it was not trained on,
and for recall@1, MRR and nDCG. "No loss was proven" is not enough: with few queries nothing can be.
What is not proven is `shadow`; a loss that is proven refuses.

Whatever nobody judged counts against the candidate: it is measured with its unjudged results left
in the lists, the model in service without them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np

from ragwheel.measuring.proofs import cautious_low, p_above
from ragwheel.trainers.proof.evaluation import RECALL_AT_10, Floats, Measurement
from ragwheel.trainers.proof.guards import (
    GateRules,
    Guard,
    check_guards,
    more_queries,
    small_segments,
    spread_of,
)

#: Small segments that a reason names, the largest first.
_NAMED_SEGMENTS = 5

Action = Literal["promoted", "shadow", "refused"]


@dataclass(frozen=True, slots=True)
class Costs:
    """What the candidate costs to serve; None where nobody measured it."""

    latency_ms: float | None = None
    size_mb: float | None = None

    def __str__(self) -> str:
        """In words."""
        latency = "not timed" if self.latency_ms is None else f"p50 {self.latency_ms:g} ms a query"
        return f"{latency}, {'size unknown' if self.size_mb is None else f'{self.size_mb:g} MB'}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The decision.

    Attributes:
        action: `promoted`; `shadow`: promising or unproven, keep measuring; `refused`.
        reason: in words: the figures that decided, what is missing, and how many queries of what.
        gain: mean difference of pooled recall@10.
        gain_low: its one-sided lower bound at the level of this gate.
        queries: judged queries with something relevant.
        missing_queries: how many more would probably settle it; 0 when settled, or when no number
            of queries would.
        worse_segments: guards with a proven loss.
        guards: all that was guarded.
        unguarded: segments with so few queries that nothing can be said even of all together.
        alpha: the level of this gate.
        p_value: of "the gain does not exceed the minimum effect".
    """

    action: Action
    reason: str
    gain: float
    gain_low: float
    queries: int
    missing_queries: int = 0
    worse_segments: tuple[str, ...] = ()
    guards: tuple[Guard, ...] = ()
    unguarded: tuple[str, ...] = ()
    alpha: float = 0.0
    p_value: float = 1.0


def decide(
    measured: Measurement,
    rules: GateRules,
    *,
    seed: int,
    incumbent: str = "incumbent",
    candidate: str = "candidate",
    alpha: float | None = None,
    label_graders: frozenset[str] = frozenset(),
    judge_grader: str = "",
    costs: Costs | None = None,
) -> Verdict:
    """Decide on one candidate against the system in service.

    Args:
        alpha: the level of this gate (`looks.alpha_left`); that of a first and only gate when left
            out.
        label_graders: who made the training labels.
        judge_grader: who judged the gate.
    """
    level = rules.alpha if alpha is None else alpha
    count = len(measured.queries.segments)
    if count == 0:
        said = "no held-out query has a judged relevant chunk; the model in service stays"
        return Verdict("shadow", said, 0, 0, 0, rules.min_queries, alpha=level)
    shown = measured.values[candidate] - measured.values[incumbent]
    careful = measured.floors[candidate] - measured.values[incumbent]
    gain, low, p_value = _gain(measured, careful[:, RECALL_AT_10], level, rules, seed)
    guards, unguarded = check_guards(measured, shown, careful, rules, seed)
    lost = [guard for guard in guards if guard.outcome == "lost"]
    verdict = partial(
        Verdict, gain=gain, gain_low=low, queries=count, alpha=level, p_value=p_value,
        worse_segments=tuple(guard.name for guard in lost), guards=guards, unguarded=unguarded,
    )  # fmt: skip
    # Points, not percent: a difference of two recalls reads as a relative gain otherwise.
    said = (
        f"pooled recall@10 {100 * gain:+.1f} points (at least {100 * low:+.1f} at a level of "
        f"{level:.2g}) on {count} held-out queries"
    )
    refusal = _refusal(rules, costs, label_graders, judge_grader)
    if refusal := refusal or _loss(shown[:, RECALL_AT_10], measured, lost):
        return verdict("refused", f"{said}; {refusal}. The model in service stays: do nothing")
    missing = _missing(measured, (incumbent, candidate), rules, costs)
    if p_value > level:
        missing.append(_unproven_gain(measured, careful[:, RECALL_AT_10], level, p_value, rules))
    missing += [_unproven_loss(guard) for guard in guards if guard.outcome == "unproven"]
    if missing:
        words = "; ".join(text for text, _ in missing)
        return verdict(
            "shadow",
            f"{said}, but {words}{_unproven_segments(measured, rules)}. The model in service stays",
            missing_queries=max(queries for _, queries in missing),
        )
    named = ", ".join(guard.name for guard in guards)
    return verdict(
        "promoted",
        f"{said}; no segment worse: losses beyond the margins are excluded in {named}"
        f"{_unproven_segments(measured, rules)}",
    )


def _gain(
    measured: Measurement, delta: Floats, alpha: float, rules: GateRules, seed: int
) -> tuple[float, float, float]:
    """Mean, lower bound, and p-value of not exceeding the minimum effect."""
    weights, clusters = measured.queries.weights, measured.queries.clusters
    gain = float(np.average(delta, weights=weights))
    low = cautious_low(delta, alpha, weights=weights, clusters=clusters)
    if gain <= rules.min_effect:
        return gain, low, 1.0
    p_value = p_above(
        delta, rules.min_effect, seed,
        weights=weights, clusters=clusters, resamples=rules.resamples,
    )  # fmt: skip
    return gain, low, p_value


def over_budget(rules: GateRules, costs: Costs | None) -> str:
    """Which budget a candidate exceeds, in words, or nothing: known before a judge is paid."""
    for what, value, limit, unit in _budgets(rules, costs):
        if value is not None and value > limit:
            return f"{what} {value:g} {unit} is above the budget of {limit:g} {unit}"
    return ""


def _refusal(
    rules: GateRules, costs: Costs | None, label_graders: frozenset[str], judge_grader: str
) -> str:
    """Why it is refused whatever was measured, or nothing."""
    if judge_grader and judge_grader in label_graders:
        return (
            f"{judge_grader} made training labels and judged the gate: set RAGWHEEL_JUDGE_MODEL to "
            "another model than RAGWHEEL_LLM_MODEL"
        )
    return over_budget(rules, costs)


def _loss(delta: Floats, measured: Measurement, lost: list[Guard]) -> str:
    """What got worse, or nothing."""
    if lost:
        return f"worse in {', '.join(map(str, lost))}"
    if not delta.any():
        return "no gain: it finds what is relevant exactly as the model in service does"
    if float(np.average(delta, weights=measured.queries.weights)) <= 0:
        return "no gain over the model in service"
    return ""


def _missing(
    measured: Measurement, systems: tuple[str, str], rules: GateRules, costs: Costs | None
) -> list[tuple[str, int]]:
    """What is missing before anything is tested, with the number of queries that is."""
    found = []
    worst = min(systems, key=lambda name: measured.coverage[name].judged)
    coverage = measured.coverage[worst]
    if coverage.judged < rules.min_judged:
        text = (
            f"only {coverage.judged:.0%} of the top 10 were judged for {worst} (its pooled "
            f"recall@10 is between {coverage.low:.2f} and {coverage.high:.2f}); "
            f"{rules.min_judged:.0%} are needed: is the judge running?"
        )
        found.append((text, 0))
    if (more := rules.min_queries - len(measured.queries.segments)) > 0:
        text = f"{more} more judged queries are needed before anything is promoted"
        found.append((text, more))
    found += [
        (f"its {what} was not measured, and there is a budget for it", 0)
        for what, value, *_ in _budgets(rules, costs)
        if value is None
    ]
    return found


def _unproven_gain(
    measured: Measurement, delta: Floats, alpha: float, p_value: float, rules: GateRules
) -> tuple[str, int]:
    mean, deviation, clusters = spread_of(measured, delta)
    more = more_queries(deviation, mean - rules.min_effect, alpha, clusters, len(delta))
    text = f"more than {100 * rules.min_effect:.1f} points are not proven (p = {p_value:.2g})"
    if more:
        text += f"; about {more} more queries would prove a gain of this size"
    return text, more


def _unproven_loss(guard: Guard) -> tuple[str, int]:
    text = f"a loss of {100 * guard.margin:.0f} points is not excluded in {guard}"
    if guard.missing_queries:
        text += f"; about {guard.missing_queries} more of its queries would settle it"
    return text, guard.missing_queries


def _unproven_segments(measured: Measurement, rules: GateRules) -> str:
    """The segments that are too small for a statement of their own, and what each lacks."""
    small = small_segments(measured, rules)
    if not small:
        return ""
    named = ", ".join(
        f"{name} ({count} queries, at least {rules.min_segment_queries - count} more are needed)"
        for name, count in sorted(small.items(), key=lambda item: -item[1])[:_NAMED_SEGMENTS]
    )
    rest = len(small) - _NAMED_SEGMENTS
    return f"; unproven by itself: {named}" + (f" and {rest} smaller segments" if rest > 0 else "")


def _budgets(rules: GateRules, costs: Costs | None) -> list[tuple[str, float | None, float, str]]:
    """Name, value, limit and unit of each budget that there is."""
    known = costs or Costs()
    every = (
        ("latency", known.latency_ms, rules.max_latency_ms, "ms"),
        ("size", known.size_mb, rules.max_size_mb, "MB"),
    )
    return [(what, value, limit, unit) for what, value, limit, unit in every if limit is not None]
