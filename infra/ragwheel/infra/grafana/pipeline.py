"""The board "Pipeline health": does every event arrive, in time and whole?"""

from __future__ import annotations

from ragwheel.infra.grafana.model import Dashboard, Mark, Panel, Query, Row
from ragwheel.infra.grafana.promql import or_zero, quantile, share, total_rate
from ragwheel.schemas import metrics as m

#: Marks every board with the moments at which our alerts began to fire.
ALERTS = Mark(
    name="Alerts",
    expr='ALERTS{alertname=~"Ragwheel.+", alertstate="firing"}',
    text="{{alertname}}",
    color="red",
)

_AT_A_GLANCE = Row(
    "At a glance",
    (
        Panel(
            "stat",
            "Unaccounted",
            "Messages that were committed and neither landed nor were dead-lettered. 0, always: "
            "anything else is loss (RagwheelUnaccounted).",
            (Query("sum(topic:ragwheel_topic_unaccounted_messages:max)"),),
            width=4,
            height=4,
            thresholds=((1, "red"),),
        ),
        Panel(
            "stat",
            "Dead-lettered, 15 min",
            "Share of consumed messages that could not be used. They are kept and can be replayed. "
            "Red at the limit of RagwheelDeadLetters.",
            (
                Query(
                    share(
                        total_rate(m.DEAD_LETTERED, window="15m"),
                        total_rate(m.CONSUMED, window="15m"),
                        "intake",
                    )
                ),
            ),
            unit="percentunit",
            width=4,
            height=4,
            thresholds=((0.001, "yellow"), (0.01, "red")),
            value_when_empty="no traffic",
        ),
        Panel(
            "stat",
            "Waiting in Kafka",
            "Messages of all topics that intake has not committed yet. Red at the limit of "
            "RagwheelLagGrowing.",
            (Query("sum(topic:ragwheel_topic_in_flight_messages:max)"),),
            width=4,
            height=4,
            thresholds=((1_000, "yellow"), (10_000, "red")),
        ),
        Panel(
            "stat",
            "Oldest traffic topic",
            "Age of the newest event in ClickHouse, of the topic where it is highest: how far in "
            "the past everything on these boards is. Grows without fault while nobody searches.",
            (
                Query(
                    "max(topic:ragwheel_newest_event_age_seconds:min"
                    '{topic=~"queries|retrievals|feedback"})'
                ),
            ),
            unit="s",
            width=4,
            height=4,
            thresholds=((60, "yellow"), (600, "red")),
        ),
        Panel(
            "stat",
            "Searches without results, 30 min",
            "Share of retrievals that returned no candidate, over all segments. Red at the limit "
            "of RagwheelZeroResults, which looks at each segment.",
            (
                Query(
                    share(
                        total_rate(m.ZERO_RESULTS, window="30m"),
                        total_rate(m.RETRIEVALS, window="30m"),
                        "intake",
                    )
                ),
            ),
            unit="percentunit",
            width=4,
            height=4,
            thresholds=((0.05, "yellow"), (0.2, "red")),
            value_when_empty="no traffic",
        ),
        Panel(
            "stat",
            "Alerts firing",
            "Alerts of ragwheel that fire now; docs/operations.md has a runbook for each.",
            (
                Query(
                    'count(ALERTS{alertname=~"Ragwheel.+", alertstate="firing"}) or on () vector(0)'
                ),
            ),
            width=4,
            height=4,
            thresholds=((1, "red"),),
        ),
    ),
)

_ACCOUNTS = Row(
    "Accounts: produced = finished + waiting + unaccounted",
    (
        Panel(
            "table",
            "Accounts per topic",
            "Finished is landed in ClickHouse or dead-lettered, from intake's ledger of offsets. "
            "Each row adds up, or unaccounted says by how much it does not.",
            (
                Query("topic:ragwheel_topic_produced_messages:max", "Produced"),
                Query(
                    "topic:ragwheel_topic_produced_messages:max"
                    " - topic:ragwheel_topic_in_flight_messages:max"
                    " - topic:ragwheel_topic_unaccounted_messages:max",
                    "Finished",
                ),
                Query("topic:ragwheel_topic_in_flight_messages:max", "Waiting"),
                Query("topic:ragwheel_topic_unaccounted_messages:max", "Unaccounted"),
                Query("topic:ragwheel_newest_event_age_seconds:min", "Newest", unit="s"),
            ),
            width=14,
            hidden_labels=("__name__",),
        ),
        Panel(
            "timeseries",
            "Unaccounted messages",
            "By topic. A flat line at 0 is the guarantee.",
            (Query("topic:ragwheel_topic_unaccounted_messages:max", "{{topic}}"),),
            width=10,
            thresholds=((1, "red"),),
        ),
    ),
)

_FLOW = Row(
    "Flow",
    (
        Panel(
            "timeseries",
            "Landed per second",
            "Messages whose rows ClickHouse confirmed, by topic.",
            (Query(total_rate(m.LANDED, "topic"), "{{topic}}"),),
            unit="cps",
            stacked=True,
        ),
        Panel(
            "timeseries",
            "Consumed and finished per second",
            "Consumed includes what is read again after a restart. Finished below consumed for "
            "long means that intake works and gets nowhere.",
            (
                Query(total_rate(m.CONSUMED), "consumed"),
                Query(
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
            (Query("topic:ragwheel_topic_in_flight_messages:max", "{{topic}}"),),
        ),
        Panel(
            "timeseries",
            "Age of the newest event",
            "How old the newest event readable in ClickHouse is, by topic.",
            (Query("topic:ragwheel_newest_event_age_seconds:min", "{{topic}}"),),
            unit="s",
        ),
        Panel(
            "timeseries",
            "Dead letters per second",
            "By reason. The original bytes are in the topic `deadletters` and the table "
            "`dead_letters`; `ragwheel replay` sends them again.",
            (
                Query(
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
                Query(
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

_INSERTS = Row(
    "ClickHouse inserts",
    (
        Panel(
            "timeseries",
            "Time of an insert",
            "Slow inserts are the usual cause of lag. One insert per table and batch.",
            (
                Query(quantile(0.5, m.INSERT_SECONDS), "p50"),
                Query(quantile(0.95, m.INSERT_SECONDS), "p95"),
                Query(quantile(0.99, m.INSERT_SECONDS), "p99"),
            ),
            unit="s",
        ),
        Panel(
            "timeseries",
            "Rows per insert",
            "Mean by table. Few rows per insert under high traffic: raise RAGWHEEL_INTAKE_BATCH_S.",
            (
                Query(
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
                Query(
                    or_zero(total_rate(m.INSERT_ERRORS, "table"), "intake", table="none"),
                    "{{table}}",
                ),
            ),
            unit="cps",
        ),
    ),
)

_TRAFFIC = Row(
    "Traffic",
    (
        Panel(
            "timeseries",
            "Retrievals per second",
            "By segment and stage.",
            (Query(total_rate(m.RETRIEVALS, "segment", "stage"), "{{segment}} {{stage}}"),),
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
                Query(
                    or_zero(
                        "segment_stage:ragwheel_zero_result_retrievals:ratio_rate30m",
                        "intake",
                        segment="all",
                        stage="",
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
            (Query(total_rate(m.SAMPLED, "segment"), "{{segment}}"),),
            unit="cps",
            width=6,
            stacked=True,
        ),
        Panel(
            "timeseries",
            "Feedback per second",
            "By kind.",
            (Query(total_rate(m.FEEDBACK, "kind"), "{{kind}}"),),
            unit="cps",
            width=6,
            stacked=True,
        ),
    ),
)

_PROCESSES = Row(
    "Processes",
    (
        Panel(
            "timeseries",
            "Processes that answer",
            "Number of processes whose /metrics Prometheus can read, by job.",
            (Query('sum by (job) (up{job=~"intake|grader|trainer"})', "{{job}}"),),
            width=12,
            decimals=0,
        ),
        Panel(
            "timeseries",
            "Oldest job in a grader",
            "Above RAGWHEEL_LLM_DEADLINE_S a grader is stuck, and its partitions with it "
            "(RagwheelGraderStuck).",
            (Query(f"max by (instance) ({m.OLDEST_UNACKED.name})", "{{instance}}"),),
            unit="s",
            width=12,
            thresholds=((900, "red"),),
        ),
    ),
)

BOARD = Dashboard(
    uid="ragwheel-pipeline",
    title="ragwheel: pipeline health",
    description="Does every event arrive, in time and whole?",
    rows=(_AT_A_GLANCE, _ACCOUNTS, _FLOW, _INSERTS, _TRAFFIC, _PROCESSES),
    marks=(ALERTS,),
)
