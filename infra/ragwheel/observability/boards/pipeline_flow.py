"""Rows of the pipeline board: what moves from Kafka to ClickHouse, and what does not."""

from __future__ import annotations

from ragwheel.observability.boards.board import PanelRow
from ragwheel.observability.boards.panels import bars, flow, series
from ragwheel.observability.boards.promql import (
    or_zero,
    quantiles,
    query,
    rates,
    total_rate,
    zeroed,
)
from ragwheel.schemas import metrics as m

FLOW = PanelRow(
    "Flow",
    (
        flow(
            "Landed per second",
            "Messages whose rows ClickHouse confirmed, by topic.",
            rates(m.LANDED, "topic"),
        ),
        series(
            "Consumed and finished per second",
            "Consumed includes what is read again after a restart. Finished below consumed for "
            "long means that intake works and gets nowhere.",
            query(total_rate(m.CONSUMED), "consumed")
            + query(
                f"{total_rate(m.LANDED)} + ({or_zero(total_rate(m.DEAD_LETTERED), 'intake')})",
                "landed or dead-lettered",
            ),
            unit="cps",
        ),
        series(
            "Waiting in Kafka",
            "Messages that intake has not committed, by topic (consumer lag).",
            query("topic:ragwheel_topic_in_flight_messages:max", "{{topic}}"),
        ),
        series(
            "Age of the newest event",
            "How old the newest event readable in ClickHouse is, by topic.",
            query("topic:ragwheel_newest_event_age_seconds:min", "{{topic}}"),
            unit="s",
        ),
        flow(
            "Dead letters per second",
            "By reason. The original bytes are in the topic `deadletters` and the table "
            "`dead_letters`; `ragwheel replay` sends them again.",
            zeroed(total_rate(m.DEAD_LETTERED, "reason"), "intake", reason="none"),
        ),
        bars(
            "Dead letters by reason",
            "Counted since the intake processes started.",
            query(
                or_zero(
                    f"sum by (topic, reason) ({m.DEAD_LETTERED.name})",
                    "intake",
                    topic="all",
                    reason="none",
                ),
                "{{topic}}: {{reason}}",
            ),
            base_color="yellow",
        ),
    ),
)

INSERTS = PanelRow(
    "ClickHouse inserts",
    (
        series(
            "Time of an insert",
            "Slow inserts are the usual cause of lag. One insert per table and batch.",
            quantiles(m.INSERT_SECONDS, of=(0.5, 0.95, 0.99)),
            unit="s",
        ),
        series(
            "Rows per insert",
            "Mean by table. Few rows per insert under high traffic: raise RAGWHEEL_INTAKE_BATCH_S.",
            query(
                f"{total_rate(m.INSERT_ROWS, 'table')} / on (table) sum by (table) "
                f"(rate({m.INSERT_SECONDS.name}_count[$__rate_interval]))",
                "{{table}}",
            ),
        ),
        series(
            "Failed inserts per second",
            "By table; each is tried again until ClickHouse confirms.",
            zeroed(total_rate(m.INSERT_ERRORS, "table"), "intake", table="none"),
            unit="cps",
        ),
    ),
)
