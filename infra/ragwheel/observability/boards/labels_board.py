"""The board "Labels and cost": is traffic graded, by answers that are grades, for what money?"""

from __future__ import annotations

from collections.abc import Mapping

from ragwheel.observability.boards.board import Dashboard, PanelRow
from ragwheel.observability.boards.panels import Color, figure, flow, gauge, series, stat
from ragwheel.observability.boards.pipeline_board import ALERTS
from ragwheel.observability.boards.promql import (
    or_zero,
    quantiles,
    query,
    rates,
    share,
    total_rate,
    zeroed,
)
from ragwheel.schemas import metrics as m

_RANGE = "$__range"
_STATUS_COLORS: Mapping[str, Color] = {
    "graded": "green",
    "unparsed": "orange",
    "refused": "purple",
    "truncated": "yellow",
    "failed": "red",
    "over_budget": "blue",
}
_GRADE_COLORS: Mapping[str, Color] = {"0": "red", "1": "orange", "2": "yellow", "3": "green"}


def _in_range(name: str, where: str = "") -> str:
    return f"sum(increase({name}{where}[{_RANGE}]))"


#: On every board that shows grades, or what is made of them.
WHO_GRADES = stat(
    "Graded by",
    "The model that makes labels and the one that judges. Orange: a stand-in, which is no LLM; "
    "its grades are for trying things out.",
    query(f"max by (role, model) ({m.STAND_IN.name})", "{{role}}: {{model}}"),
    width=6,
    base_color="text",
    thresholds=((1, "orange"),),
    show_name=True,
    value_when_empty="no grader",
)

_GRADED = _in_range(m.LABELS.name, '{status="graded"}')

_AT_A_GLANCE = PanelRow(
    "At a glance (over the chosen time range)",
    WHO_GRADES,
    figure(
        "Graded pairs",
        "Pairs of query and chunk that carry a grade, known ones included.",
        query(_GRADED),
        decimals=0,
    ),
    stat(
        "Pairs without a grade",
        "Unparsed, refused, truncated or failed; they are never counted as irrelevant. Red at "
        "the limit of RagwheelLabelsFailing.",
        query(
            share(
                _in_range(m.LABELS.name, '{status!~"graded|over_budget"}'),
                _in_range(m.LABELS.name, '{status!="over_budget"}'),
                "grader",
            )
        ),
        unit="percentunit",
        thresholds=((0.02, "yellow"), (0.1, "red")),
        value_when_empty="no labels",
    ),
    figure(
        "Spent",
        "By the price table, USD. A model without a price counts as 0: compare the tokens.",
        query(or_zero(_in_range(m.LLM_COST.name), "grader")),
        unit="currencyUSD",
    ),
    figure(
        "Cost per graded pair",
        "Spent divided by graded pairs, savings of the cache included.",
        query(share(_in_range(m.LLM_COST.name), _GRADED, "grader")),
        unit="currencyUSD",
        decimals=6,
        value_when_empty="no labels",
    ),
    figure(
        "Not paid for again",
        "Share of pairs that were answered from memory or from ClickHouse.",
        query(share(_in_range(m.LABEL_CACHE_HITS.name), _in_range(m.LABELS.name), "grader")),
        unit="percentunit",
        value_when_empty="no labels",
    ),
    gauge(
        "Today's budget used",
        "Money or tokens of all graders; the day is UTC. 0 when no limit is set.",
        query(or_zero("ragwheel:llm_budget_used:max_ratio", "grader")),
        unit="percentunit",
        maximum=1,
        thresholds=((0.75, "yellow"), (0.9, "red")),
    ),
)

_LABELS = PanelRow(
    "Labels",
    flow(
        "Labels per second by status",
        "Only `graded` carries a grade.",
        rates(m.LABELS, "status"),
        colors=_STATUS_COLORS,
    ),
    series(
        "Pairs without a grade",
        "Share of the last 15 minutes, by role and segment: what RagwheelLabelsFailing evaluates.",
        zeroed(
            "role_segment:ragwheel_labels_failing:ratio_rate15m",
            "grader",
            role="all",
            segment="segments",
        ),
        unit="percentunit",
        thresholds=((0.1, "red"),),
    ),
    series(
        "Jobs in flight",
        "Jobs read and not yet acknowledged, by grader. At the same height for long: the LLM "
        "is the limit.",
        query(f"sum by (instance) ({m.JOBS_IN_FLIGHT.name})", "{{instance}}"),
    ),
    series(
        "Unfinished labels",
        "Landed without a grade and not graded since, by status: work that is left to do.",
        zeroed(f"max by (status) ({m.UNFINISHED_LABELS.name})", "accounts", status="none"),
    ),
    series(
        "Oldest unfinished label",
        "Since when the oldest of each status waits for a grade.",
        zeroed(f"max by (status) ({m.UNFINISHED_LABELS_AGE.name})", "accounts", status="none"),
        unit="s",
    ),
    series(
        "Grades",
        "Share of each grade in what was graded (3 answers the query, 0 has nothing to do with "
        "it). A step without a change of traffic is a change of the grader.",
        query(
            f"{total_rate(m.GRADES, 'grade')} / on () group_left () ({total_rate(m.GRADES)} > 0)",
            "{{grade}}",
        ),
        unit="percentunit",
        maximum=1,
        stacked=True,
        colors=_GRADE_COLORS,
    ),
    series(
        "Share of relevant pairs by segment",
        "Pairs graded 2 or 3 among training labels. Falls when retrieval gets worse; this is "
        "the raw mean of the sample, without an interval.",
        query(
            total_rate(m.GRADES, "segment", where='role="label", grade=~"2|3"')
            + " / on (segment) ("
            + total_rate(m.GRADES, "segment", where='role="label"')
            + " > 0)",
            "{{segment}}",
        ),
        unit="percentunit",
        maximum=1,
    ),
    series(
        "Decoys flagged",
        "Share of random chunks that were graded 2 or 3, by the grader's role and segment: its "
        "rate of false alarms. A step is a change of the grader, not of the traffic. Where "
        "dozens of chunks answer a query, a little of it is true.",
        query(
            f"{total_rate(m.DECOYS_FLAGGED, 'role', 'segment')} / on (role, segment) "
            f"({total_rate(m.DECOYS_GRADED, 'role', 'segment')} > 0)",
            "{{role}} {{segment}}",
        ),
        unit="percentunit",
        maximum=1,
    ),
    flow(
        "Decoys missing per second",
        "Calls went without them: no chunk of the index is known that could be one.",
        zeroed(total_rate(m.DECOYS_MISSING, "segment"), "grader", segment="segments"),
    ),
    flow(
        "Pairs not paid for again per second",
        "By where the answer was found.",
        zeroed(total_rate(m.LABEL_CACHE_HITS, "source"), "grader", source="none"),
    ),
)

_LLM = PanelRow(
    "LLM",
    flow(
        "Calls per second by outcome",
        "http_4xx: our key, model or request. http_5xx, timeout, connection: the endpoint or "
        "the network. http_429: the quota.",
        rates(m.LLM_CALLS, "outcome"),
        unit="reqps",
        colors={"complete": "green", "http_429": "yellow", "http_5xx": "red"},
    ),
    series(
        "Calls held back",
        "1 while the endpoint of a model refuses every call and its jobs wait, with the reason: "
        "what RagwheelLlmHeld evaluates.",
        zeroed(
            f'max by (model, reason) ({m.LLM_BREAKER.name}{{state!="closed"}})',
            "grader",
            model="all",
            reason="none",
        ),
        maximum=1,
        thresholds=((1, "red"),),
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
            or_zero("model:ragwheel_llm_calls_rate_limited:ratio_rate10m", "grader", model="any"),
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
        "By grader process since midnight UTC, and what all claimed of the day's money. The "
        "limit is theirs together, 0 is none.",
        query(
            or_zero(f"max by (instance) ({m.SPENT_TODAY_USD.name})", "grader", instance="any"),
            "{{instance}} spent",
        )
        + query(or_zero(f"max({m.CLAIMED_TODAY_USD.name})", "grader"), "claimed by all")
        + query(f"max({m.BUDGET_USD.name})", "limit"),
        unit="currencyUSD",
        height=7,
        colors={"limit": "red"},
    ),
    series(
        "Tokens today and the limit",
        "Claimed by all graders since midnight UTC; a limit of 0 is none.",
        query(or_zero(f"max({m.CLAIMED_TODAY_TOKENS.name})", "grader"), "claimed by all")
        + query(f"max({m.BUDGET_TOKENS.name})", "limit"),
        height=7,
        colors={"limit": "red"},
    ),
    series(
        "Pace of sampling",
        "What sampling rates are multiplied with so that the day's money lasts; 1 is not paced. "
        "Known: 0 while the claims cannot be read and the last pace stays in force.",
        query(or_zero(f"min({m.SAMPLING_PACE.name})", "intake"), "pace")
        + query(or_zero(f"min({m.PACE_READABLE.name})", "intake"), "known"),
        height=7,
    ),
    series(
        "No money",
        "1 while calls of a grader wait because the day's money is gone.",
        query(
            or_zero(f"max by (instance) ({m.PURSE_EMPTY.name})", "grader", instance="any"),
            "{{instance}}",
        ),
        height=7,
    ),
)

BOARD = Dashboard(
    uid="ragwheel-labels",
    title="ragwheel: labels and cost",
    description="Is traffic graded, by answers that are grades, for the money we meant to spend?",
    rows=(_AT_A_GLANCE, _LABELS, _LLM),
    marks=(ALERTS,),
    window="now-24h",
)
