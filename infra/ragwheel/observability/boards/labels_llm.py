"""Row of the labels board: the calls that graders make, and what they cost."""

from __future__ import annotations

from ragwheel.observability.boards.board import PanelRow
from ragwheel.observability.boards.panels import flow, series
from ragwheel.observability.boards.promql import (
    or_zero,
    quantiles,
    query,
    rates,
    total_rate,
    zeroed,
)
from ragwheel.schemas import metrics as m

LLM = PanelRow(
    "LLM",
    (
        flow(
            "Calls per second by outcome",
            "http_4xx: our key, model or request. http_5xx, timeout, connection: the endpoint or "
            "the network. http_429: the quota.",
            rates(m.LLM_CALLS, "outcome"),
            unit="reqps",
            colors={"complete": "green", "http_429": "yellow", "http_5xx": "red"},
        ),
        series(
            "Time of a call",
            "By model, failed calls included.",
            quantiles(m.LLM_SECONDS, "model", of=(0.5, 0.95)),
            unit="s",
        ),
        flow(
            "Calls tried again per second",
            "By reason.",
            zeroed(total_rate(m.LLM_RETRIES, "reason"), "grader", reason="none"),
        ),
        series(
            "Failing calls",
            "Share of the last 10 minutes by model, as RagwheelLlmErrors and "
            "RagwheelLlmRateLimited evaluate it.",
            query(
                or_zero("model:ragwheel_llm_calls_failing:ratio_rate10m", "grader", model="any"),
                "{{model}} errors",
            )
            + query(
                or_zero(
                    "model:ragwheel_llm_calls_rate_limited:ratio_rate10m", "grader", model="any"
                ),
                "{{model}} rate-limited",
            ),
            unit="percentunit",
            thresholds=((0.2, "red"),),
        ),
        flow(
            "Tokens per second",
            "As billed, by model and direction.",
            rates(m.LLM_TOKENS, "model", "direction"),
        ),
        flow(
            "Cost per hour",
            "By model, USD: the pace, not the sum.",
            zeroed(f"3600 * {total_rate(m.LLM_COST, 'model')}", "grader", model="none"),
            unit="currencyUSD",
        ),
        series(
            "Spent today and the limit",
            "By grader process since midnight UTC. The limit holds per process; 0 is none.",
            query(
                or_zero(f"max by (instance) ({m.SPENT_TODAY_USD.name})", "grader", instance="any"),
                "{{instance}} spent",
            )
            + query(f"max({m.BUDGET_USD.name})", "limit"),
            unit="currencyUSD",
            width=24,
            height=7,
            colors={"limit": "red"},
        ),
    ),
)
