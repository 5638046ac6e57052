"""Rows of the pipeline board: what services send, and the processes that take it."""

from __future__ import annotations

from ragwheel.observability.boards.board import PanelRow
from ragwheel.observability.boards.panels import flow, series
from ragwheel.observability.boards.promql import query, rates, total_rate, zeroed
from ragwheel.schemas import metrics as m

TRAFFIC = PanelRow(
    "Traffic",
    (
        flow(
            "Retrievals per second",
            "By segment and stage.",
            rates(m.RETRIEVALS, "segment", "stage"),
            unit="reqps",
            width=6,
        ),
        series(
            "Searches without results",
            "Share of the last 30 minutes, by segment and stage: what RagwheelZeroResults "
            "evaluates.",
            zeroed(
                "segment_stage:ragwheel_zero_result_retrievals:ratio_rate30m",
                "intake",
                segment="all",
                stage="stages",
            ),
            unit="percentunit",
            width=6,
            thresholds=((0.2, "red"),),
        ),
        flow(
            "Queries sampled for grading per second",
            "By segment. Divided by the traffic it is the effective sampling rate.",
            rates(m.SAMPLED, "segment"),
            width=6,
        ),
        flow("Feedback per second", "By kind.", rates(m.FEEDBACK, "kind"), width=6),
    ),
)

CLIENTS = PanelRow(
    "Services (those that export the client's metrics)",
    (
        series(
            "Events lost in services per second",
            "Dropped, failed or invalid: they never reached Kafka, so no other panel counts them.",
            zeroed(
                total_rate(m.CLIENT_EVENTS, "job", "outcome", where='outcome!="delivered"'),
                "intake",
                job="no service",
                outcome="reports",
            ),
            unit="cps",
            width=12,
        ),
        series(
            "Events waiting in services",
            "Queued in the clients. Grows while the broker is out of reach, up to "
            "RAGWHEEL_CLIENT_QUEUE_MIB.",
            zeroed(f"sum by (job) ({m.CLIENT_PENDING.name})", "intake", job="no service reports"),
            width=12,
        ),
    ),
)

PROCESSES = PanelRow(
    "Processes",
    (
        series(
            "Processes that answer",
            "Number of processes whose /metrics Prometheus can read, by job.",
            query('sum by (job) (up{job=~"intake|accounts|grader|trainer"})', "{{job}}"),
            width=12,
            decimals=0,
        ),
        series(
            "Oldest job in a grader",
            "Calls are tried again until RAGWHEEL_LLM_DEADLINE_S; a job that is older is stuck, "
            "and its partition with it (RagwheelGraderWaiting, RagwheelGraderStuck).",
            query(f"max by (instance) ({m.OLDEST_UNACKED.name})", "{{instance}}"),
            unit="s",
            width=12,
            thresholds=((900, "yellow"), (7_200, "red")),
        ),
    ),
)
