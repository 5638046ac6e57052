"""PanelRow of the labels board: the calls that graders make, and what they cost."""

from __future__ import annotations

from ragwheel.observability.boards.board import PanelRow
from ragwheel.observability.boards.panels import Panel, Target
from ragwheel.observability.boards.promql import or_zero, quantile, total_rate
from ragwheel.schemas import metrics as m

LLM = PanelRow(
    "LLM",
    (
        Panel(
            "timeseries",
            "Calls per second by outcome",
            "http_4xx: our key, model or request. http_5xx, timeout, connection: the endpoint or "
            "the network. http_429: the quota.",
            (Target(total_rate(m.LLM_CALLS, "outcome"), "{{outcome}}"),),
            unit="reqps",
            stacked=True,
            colors={"complete": "green", "http_429": "yellow", "http_5xx": "red"},
        ),
        Panel(
            "timeseries",
            "Time of a call",
            "By model, failed calls included.",
            (
                Target(quantile(0.5, m.LLM_SECONDS, "model"), "{{model}} p50"),
                Target(quantile(0.95, m.LLM_SECONDS, "model"), "{{model}} p95"),
            ),
            unit="s",
        ),
        Panel(
            "timeseries",
            "Calls tried again per second",
            "By reason.",
            (
                Target(
                    or_zero(total_rate(m.LLM_RETRIES, "reason"), "grader", reason="none"),
                    "{{reason}}",
                ),
            ),
            unit="cps",
            stacked=True,
        ),
        Panel(
            "timeseries",
            "Failing calls",
            "Share of the last 10 minutes by model, as RagwheelLlmErrors and "
            "RagwheelLlmRateLimited evaluate it.",
            (
                Target(
                    or_zero(
                        "model:ragwheel_llm_calls_failing:ratio_rate10m", "grader", model="any"
                    ),
                    "{{model}} errors",
                ),
                Target(
                    or_zero(
                        "model:ragwheel_llm_calls_rate_limited:ratio_rate10m", "grader", model="any"
                    ),
                    "{{model}} rate-limited",
                ),
            ),
            unit="percentunit",
            thresholds=((0.2, "red"),),
        ),
        Panel(
            "timeseries",
            "Tokens per second",
            "As billed, by model and direction.",
            (Target(total_rate(m.LLM_TOKENS, "model", "direction"), "{{model}} {{direction}}"),),
            unit="cps",
            stacked=True,
        ),
        Panel(
            "timeseries",
            "Cost per hour",
            "By model, USD: the pace, not the sum.",
            (
                Target(
                    or_zero(f"3600 * {total_rate(m.LLM_COST, 'model')}", "grader", model="none"),
                    "{{model}}",
                ),
            ),
            unit="currencyUSD",
            stacked=True,
        ),
        Panel(
            "timeseries",
            "Spent today and the limit",
            "By grader process since midnight UTC. The limit holds per process; 0 is none.",
            (
                Target(
                    or_zero(
                        f"max by (instance) ({m.SPENT_TODAY_USD.name})", "grader", instance="any"
                    ),
                    "{{instance}} spent",
                ),
                Target(f"max({m.BUDGET_USD.name})", "limit"),
            ),
            unit="currencyUSD",
            width=24,
            height=7,
            colors={"limit": "red"},
        ),
    ),
)
