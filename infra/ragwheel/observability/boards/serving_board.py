"""The board "Serving": which model answers, how fast, and what was kept from serving."""

from __future__ import annotations

from ragwheel.observability.boards.board import Dashboard, PanelRow
from ragwheel.observability.boards.panels import figure, flow, series
from ragwheel.observability.boards.pipeline_board import ALERTS
from ragwheel.observability.boards.promql import quantiles, query, rates, total_rate
from ragwheel.schemas import metrics as m

_REQUESTS = PanelRow(
    "Requests",
    figure(
        "Model that answers",
        "What the servers observe to serve. Two for longer than a swap: a server does not follow.",
        query(f"max by (model, documents) ({m.SERVED_MODEL.name})", "{{model}}"),
        width=8,
        show_name=True,
        value_when_empty="no server",
    ),
    flow(
        "Requests per second",
        "By HTTP status. 429: too much waits; 499: the caller hung up; 500: the model failed.",
        rates(m.SERVING_REQUESTS, "code"),
    ),
    series(
        "Time of an answer",
        "By route, from a request's head to its answer.",
        quantiles(m.SERVING_SECONDS, "route", of=(0.5, 0.99)),
        unit="s",
    ),
)

_BATCHES = PanelRow(
    "Batches",
    series(
        "Texts of a batch, and waiting",
        "As the last batch began.",
        query(f"max({m.SERVING_BATCH_TEXTS.name})", "of a batch")
        + query(f"max({m.SERVING_WAITING_TEXTS.name})", "waiting"),
    ),
    flow("Batches per second", "Encoded, over all servers.", rates(m.SERVING_BATCHES)),
    flow(
        "Recent vectors",
        "Texts found in memory (hit) and encoded (miss).",
        rates(m.SERVING_CACHE_LOOKUPS, "outcome"),
    ),
    flow(
        "Texts without an answer per second",
        "The model failed on them, or their caller hung up before their turn.",
        query(total_rate(m.SERVING_ENCODE_ERRORS), "model failed")
        + query(total_rate(m.SERVING_DROPPED), "caller hung up"),
    ),
)

_SWAPS = PanelRow(
    "Swaps",
    flow(
        "Swaps per second",
        "Tries to get another model into service, by outcome.",
        rates(m.SERVING_SWAPS, "outcome"),
    ),
    flow(
        "Refused models per second",
        "By reason; the model before stays in service.",
        rates(m.SERVING_REFUSALS, "reason"),
    ),
    series(
        "Overlap with the candidate",
        "Shadow: share of the first ten that a candidate has in common with what serves.",
        query(f"min by (candidate) ({m.SERVING_SHADOW_OVERLAP.name})", "{{candidate}}"),
        unit="percentunit",
        maximum=1,
    ),
)

BOARD = Dashboard(
    uid="ragwheel-serving",
    title="ragwheel: serving",
    description="Which model answers, how fast, and what was kept from serving?",
    rows=(_REQUESTS, _BATCHES, _SWAPS),
    variables=(),
    marks=(ALERTS,),
    window="now-6h",
)
