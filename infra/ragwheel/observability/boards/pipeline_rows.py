"""Rows of the pipeline board: what moves through it, who sends it, and who takes it."""

from __future__ import annotations

from ragwheel.observability.boards.board import PanelRow
from ragwheel.observability.boards.panels import bars, flow, series
from ragwheel.observability.boards.promql import (
    or_zero,
    quantile,
    quantiles,
    query,
    rates,
    total_rate,
    zeroed,
)
from ragwheel.schemas import metrics as m


def _per_query(kind: str) -> str:
    """Feedback of one kind divided by queries, by segment."""
    given = total_rate(m.FEEDBACK, "segment", where=f'kind="{kind}"', window="30m")
    return f"{given} / on (segment) {total_rate(m.QUERIES, 'segment', window='30m')}"


FLOW = PanelRow(
    "Flow",
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
            f"{total_rate(m.LANDED)} + ({or_zero(total_rate(m.DEAD_LETTERED), 'intake')})"
            f" + ({or_zero(total_rate(m.FORGOTTEN), 'intake')})",
            "landed, dead-lettered or forgotten",
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
)

INSERTS = PanelRow(
    "ClickHouse inserts",
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
)

TRAFFIC = PanelRow(
    "Traffic",
    flow(
        "Retrievals per second",
        "By segment and stage.",
        rates(m.RETRIEVALS, "segment", "stage"),
        unit="reqps",
        width=6,
    ),
    series(
        "Searches without results",
        "Share of the last 30 minutes, by segment and stage: what RagwheelZeroResults evaluates.",
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
    series(
        "Time of a retrieval, 95th percentile",
        "As the services measured it, by stage; what sends no latency_ms is not in it.",
        zeroed(quantile(0.95, m.RETRIEVAL_SECONDS, "stage"), "intake", stage="none measured"),
        unit="s",
        width=8,
    ),
    series(
        "Answers with a citation",
        "Citations per query of the last 30 minutes, by segment. A fall without a change of the "
        "answering model is a fall of retrieval.",
        zeroed(_per_query("cited"), "intake", segment="no citations"),
        width=8,
    ),
    series(
        "Thumbs down",
        "Per query of the last 30 minutes, by segment.",
        zeroed(_per_query("thumbs_down"), "intake", segment="no thumbs down"),
        unit="percentunit",
        width=8,
    ),
)

CLIENTS = PanelRow(
    "Services (those that export the client's metrics)",
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
)

PROCESSES = PanelRow(
    "Processes",
    series(
        "Processes that answer",
        "Number of processes whose /metrics Prometheus can read, by job.",
        query('sum by (job) (up{job=~"intake|accounts|grader|trainer|server"})', "{{job}}"),
        width=8,
        decimals=0,
    ),
    series(
        "Age of the accounts",
        "Since when nobody has counted what is unaccounted. It saws between 0 and "
        "RAGWHEEL_ACCOUNTS_REFRESH_S; while it climbs, Waiting and Unaccounted stand still.",
        query(f"time() - max({m.ACCOUNTS_READ.name})", "accounts"),
        unit="s",
        width=8,
        thresholds=((60, "yellow"), (300, "red")),
    ),
    series(
        "Memory of a process",
        "Resident, by process. Climbs without end: a leak; report it with its log.",
        query(
            'process_resident_memory_bytes{job=~"intake|accounts|grader|trainer|server"}',
            "{{job}} {{instance}}",
        ),
        unit="bytes",
        width=8,
    ),
    series(
        "Processor time of a process",
        "Cores in use. A process at 1 for long is its own limit: start another one.",
        query(
            'rate(process_cpu_seconds_total{job=~"intake|accounts|grader|trainer|server"}'
            "[$__rate_interval])",
            "{{job}} {{instance}}",
        ),
        width=8,
    ),
    series(
        "Open files of a process",
        "Share of what the system allows it.",
        query(
            'process_open_fds{job=~"intake|accounts|grader|trainer|server"} / process_max_fds',
            "{{job}} {{instance}}",
        ),
        unit="percentunit",
        width=8,
        thresholds=((0.8, "red"),),
    ),
    series(
        "Versions that run",
        "Processes by job and version of ragwheel.",
        query(f"count by (job, version) ({m.BUILD.name})", "{{job}} {{version}}"),
        width=8,
        decimals=0,
    ),
    series(
        "Oldest job in a grader",
        "Calls are tried again until RAGWHEEL_LLM_DEADLINE_S; a job that is older is stuck, "
        "and its partition with it (RagwheelGraderWaiting, RagwheelGraderStuck).",
        query(f"max by (instance) ({m.OLDEST_UNACKED.name})", "{{instance}}"),
        unit="s",
        width=8,
        thresholds=((900, "yellow"), (7_200, "red")),
    ),
)
