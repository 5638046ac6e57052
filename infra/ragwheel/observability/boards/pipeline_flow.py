"""Rows of the pipeline board: what moves from Kafka to ClickHouse, and what does not."""

from __future__ import annotations

from ragwheel.observability.boards.board import PanelRow
from ragwheel.observability.boards.panels import Panel, Target
from ragwheel.observability.boards.promql import or_zero, quantile, total_rate
from ragwheel.schemas import metrics as m

FLOW = PanelRow(
    "Flow",
    (
        Panel(
            "timeseries",
            "Landed per second",
            "Messages whose rows ClickHouse confirmed, by topic.",
            (Target(total_rate(m.LANDED, "topic"), "{{topic}}"),),
            unit="cps",
            stacked=True,
        ),
        Panel(
            "timeseries",
            "Consumed and finished per second",
            "Consumed includes what is read again after a restart. Finished below consumed for "
            "long means that intake works and gets nowhere.",
            (
                Target(total_rate(m.CONSUMED), "consumed"),
                Target(
                    f"{total_rate(m.LANDED)} + ({or_zero(total_rate(m.DEAD_LETTERED), 'intake')})",
                    "landed or dead-lettered",
                ),
            ),
            unit="cps",
        ),
        Panel(
            "timeseries",
            "Waiting in Kafka",
            "Messages that intake has not committed, by topic (consumer lag).",
            (Target("topic:ragwheel_topic_in_flight_messages:max", "{{topic}}"),),
        ),
        Panel(
            "timeseries",
            "Age of the newest event",
            "How old the newest event readable in ClickHouse is, by topic.",
            (Target("topic:ragwheel_newest_event_age_seconds:min", "{{topic}}"),),
            unit="s",
        ),
        Panel(
            "timeseries",
            "Dead letters per second",
            "By reason. The original bytes are in the topic `deadletters` and the table "
            "`dead_letters`; `ragwheel replay` sends them again.",
            (
                Target(
                    or_zero(total_rate(m.DEAD_LETTERED, "reason"), "intake", reason="none"),
                    "{{reason}}",
                ),
            ),
            unit="cps",
            stacked=True,
        ),
        Panel(
            "bargauge",
            "Dead letters by reason",
            "Counted since the intake processes started.",
            (
                Target(
                    or_zero(
                        f"sum by (topic, reason) ({m.DEAD_LETTERED.name})",
                        "intake",
                        topic="all",
                        reason="none",
                    ),
                    "{{topic}}: {{reason}}",
                ),
            ),
            base_color="yellow",
        ),
    ),
)

INSERTS = PanelRow(
    "ClickHouse inserts",
    (
        Panel(
            "timeseries",
            "Time of an insert",
            "Slow inserts are the usual cause of lag. One insert per table and batch.",
            (
                Target(quantile(0.5, m.INSERT_SECONDS), "p50"),
                Target(quantile(0.95, m.INSERT_SECONDS), "p95"),
                Target(quantile(0.99, m.INSERT_SECONDS), "p99"),
            ),
            unit="s",
        ),
        Panel(
            "timeseries",
            "Rows per insert",
            "Mean by table. Few rows per insert under high traffic: raise RAGWHEEL_INTAKE_BATCH_S.",
            (
                Target(
                    f"{total_rate(m.INSERT_ROWS, 'table')} / on (table) sum by (table) "
                    f"(rate({m.INSERT_SECONDS.name}_count[$__rate_interval]))",
                    "{{table}}",
                ),
            ),
        ),
        Panel(
            "timeseries",
            "Failed inserts per second",
            "By table; each is tried again until ClickHouse confirms.",
            (
                Target(
                    or_zero(total_rate(m.INSERT_ERRORS, "table"), "intake", table="none"),
                    "{{table}}",
                ),
            ),
            unit="cps",
        ),
    ),
)
