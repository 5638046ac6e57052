"""The board "Pipeline health": does every event arrive, in time and whole?"""

from __future__ import annotations

from ragwheel.observability.boards.board import Dashboard, PanelRow, mark
from ragwheel.observability.boards.panels import Target, series, stat, table
from ragwheel.observability.boards.pipeline_rows import (
    CLIENTS,
    FLOW,
    INSERTS,
    PROCESSES,
    TRAFFIC,
)
from ragwheel.observability.boards.promql import query, share, total_rate
from ragwheel.schemas import metrics as m

_FIRING = 'ALERTS{alertname=~"Ragwheel.+", alertstate="firing", severity!="none"}'

#: Marks every board with the moments at which our alerts began to fire.
ALERTS = mark(
    name="Alerts",
    expr=_FIRING,
    text="{{alertname}}",
    color="red",
)

_AT_A_GLANCE = PanelRow(
    "At a glance",
    stat(
        "Unaccounted",
        "Messages that were committed and neither landed nor were dead-lettered. 0, always: "
        "anything else is loss (RagwheelUnaccounted).",
        query("sum(topic:ragwheel_topic_unaccounted_messages:max)"),
        thresholds=((1, "red"),),
    ),
    stat(
        "Dead-lettered, 15 min",
        "Share of consumed messages that could not be used. They are kept and can be replayed. "
        "Red at the limit of RagwheelDeadLetters.",
        query(
            share(
                total_rate(m.DEAD_LETTERED, window="15m"),
                total_rate(m.CONSUMED, window="15m"),
                "intake",
            )
        ),
        unit="percentunit",
        thresholds=((0.001, "yellow"), (0.01, "red")),
        value_when_empty="no traffic",
    ),
    stat(
        "Waiting in Kafka",
        "Messages of all topics that intake has not committed yet. Red at the limit of "
        "RagwheelLagGrowing.",
        query("sum(topic:ragwheel_topic_in_flight_messages:max)"),
        thresholds=((1_000, "yellow"), (10_000, "red")),
    ),
    stat(
        "Oldest traffic topic",
        "Age of the newest event in ClickHouse, of the topic where it is highest: how far in "
        "the past everything on these boards is. Grows without fault while nobody searches.",
        query(
            'max(topic:ragwheel_newest_event_age_seconds:min{topic=~"queries|retrievals|feedback"})'
        ),
        unit="s",
        thresholds=((60, "yellow"), (600, "red")),
    ),
    stat(
        "Searches without results, 30 min",
        "Share of retrievals that returned no candidate, over all segments. Red at the limit "
        "of RagwheelZeroResults, which looks at each segment.",
        query(
            share(
                total_rate(m.ZERO_RESULTS, window="30m"),
                # By topic and not by segment: this counter is there, at 0, before the first
                # search, so that also the first burst of traffic is a rise.
                total_rate(m.LANDED, where='topic="retrievals"', window="30m"),
                "intake",
            )
        ),
        unit="percentunit",
        thresholds=((0.05, "yellow"), (0.2, "red")),
        value_when_empty="no traffic",
    ),
    stat(
        "Alerts firing",
        "Alerts of ragwheel that fire now; docs/operations.md has a runbook for each.",
        query(f"count({_FIRING}) or on () vector(0)"),
        thresholds=((1, "red"),),
    ),
)

_ACCOUNTS = PanelRow(
    "Accounts: produced = finished + waiting + unaccounted",
    table(
        "Accounts per topic",
        "Finished is landed in ClickHouse or dead-lettered, from intake's ledger of offsets. "
        "Each row adds up, or unaccounted says by how much it does not.",
        (
            Target("topic:ragwheel_topic_produced_messages:max", "Produced"),
            Target(
                "topic:ragwheel_topic_produced_messages:max"
                " - topic:ragwheel_topic_in_flight_messages:max"
                " - topic:ragwheel_topic_unaccounted_messages:max",
                "Finished",
            ),
            Target("topic:ragwheel_topic_in_flight_messages:max", "Waiting"),
            Target("topic:ragwheel_topic_unaccounted_messages:max", "Unaccounted"),
            Target("topic:ragwheel_newest_event_age_seconds:min", "Newest", unit="s"),
        ),
        width=14,
        hidden_labels=("__name__",),
    ),
    series(
        "Unaccounted messages",
        "By topic. A flat line at 0 is the guarantee.",
        query("topic:ragwheel_topic_unaccounted_messages:max", "{{topic}}"),
        width=10,
        thresholds=((1, "red"),),
    ),
)

BOARD = Dashboard(
    uid="ragwheel-pipeline",
    title="ragwheel: pipeline health",
    description="Does every event arrive, in time and whole?",
    rows=(_AT_A_GLANCE, _ACCOUNTS, FLOW, INSERTS, TRAFFIC, CLIENTS, PROCESSES),
    marks=(ALERTS,),
)
