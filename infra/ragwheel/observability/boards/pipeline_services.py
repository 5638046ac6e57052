"""Rows of the pipeline board: what services send, and the processes that take it."""

from __future__ import annotations

from ragwheel.observability.boards.board import PanelRow
from ragwheel.observability.boards.panels import Panel, Target
from ragwheel.observability.boards.promql import or_zero, total_rate
from ragwheel.schemas import metrics as m

TRAFFIC = PanelRow(
    "Traffic",
    (
        Panel(
            "timeseries",
            "Retrievals per second",
            "By segment and stage.",
            (Target(total_rate(m.RETRIEVALS, "segment", "stage"), "{{segment}} {{stage}}"),),
            unit="reqps",
            width=6,
            stacked=True,
        ),
        Panel(
            "timeseries",
            "Searches without results",
            "Share of the last 30 minutes, by segment and stage: what RagwheelZeroResults "
            "evaluates.",
            (
                Target(
                    or_zero(
                        "segment_stage:ragwheel_zero_result_retrievals:ratio_rate30m",
                        "intake",
                        segment="all",
                        stage="stages",
                    ),
                    "{{segment}} {{stage}}",
                ),
            ),
            unit="percentunit",
            width=6,
            thresholds=((0.2, "red"),),
        ),
        Panel(
            "timeseries",
            "Queries sampled for grading per second",
            "By segment. Divided by the traffic it is the effective sampling rate.",
            (Target(total_rate(m.SAMPLED, "segment"), "{{segment}}"),),
            unit="cps",
            width=6,
            stacked=True,
        ),
        Panel(
            "timeseries",
            "Feedback per second",
            "By kind.",
            (Target(total_rate(m.FEEDBACK, "kind"), "{{kind}}"),),
            unit="cps",
            width=6,
            stacked=True,
        ),
    ),
)

CLIENTS = PanelRow(
    "Services (those that export the client's metrics)",
    (
        Panel(
            "timeseries",
            "Events lost in services per second",
            "Dropped, failed or invalid: they never reached Kafka, so no other panel counts them.",
            (
                Target(
                    or_zero(
                        total_rate(m.CLIENT_EVENTS, "job", "outcome", where='outcome!="delivered"'),
                        "intake",
                        job="no service",
                        outcome="reports",
                    ),
                    "{{job}} {{outcome}}",
                ),
            ),
            unit="cps",
            width=12,
        ),
        Panel(
            "timeseries",
            "Events waiting in services",
            "Queued in the clients. Grows while the broker is out of reach, up to "
            "RAGWHEEL_CLIENT_QUEUE_MIB.",
            (
                Target(
                    or_zero(
                        f"sum by (job) ({m.CLIENT_PENDING.name})",
                        "intake",
                        job="no service reports",
                    ),
                    "{{job}}",
                ),
            ),
            width=12,
        ),
    ),
)

PROCESSES = PanelRow(
    "Processes",
    (
        Panel(
            "timeseries",
            "Processes that answer",
            "Number of processes whose /metrics Prometheus can read, by job.",
            (Target('sum by (job) (up{job=~"intake|accounts|grader|trainer"})', "{{job}}"),),
            width=12,
            decimals=0,
        ),
        Panel(
            "timeseries",
            "Oldest job in a grader",
            "Calls are tried again until RAGWHEEL_LLM_DEADLINE_S; a job that is older is stuck, "
            "and its partition with it (RagwheelGraderWaiting, RagwheelGraderStuck).",
            (Target(f"max by (instance) ({m.OLDEST_UNACKED.name})", "{{instance}}"),),
            unit="s",
            width=12,
            thresholds=((900, "yellow"), (7_200, "red")),
        ),
    ),
)
