"""The typed registry of metrics: every name, its labels and its meaning, once.

Base units (seconds, bytes, dollars), few labels. Dashboards and alert rules are tested against
this list, and docs/metrics.md is printed from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

#: `worker` stands for each of intake, accounts, grader and trainer.
ProcessName = Literal["client", "intake", "accounts", "grader", "trainer", "worker"]
Kind = Literal["counter", "gauge", "histogram"]

_LATENCY_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric family.

    Attributes:
        name: full Prometheus name, with `_total` for counters.
        process: who exports it.
        labels: label names, in order.
        buckets: upper bounds of a histogram.
    """

    name: str
    kind: Kind
    process: ProcessName
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = _LATENCY_S


# fmt: off
CLIENT_EVENTS = Metric(
    "ragwheel_client_events_total",
    "counter",
    "client",
    "Events a service handed over, by outcome: delivered, failed, dropped, invalid.",
    ("topic", "outcome"),
)
CLIENT_PENDING = Metric(
    "ragwheel_client_pending_events",
    "gauge",
    "client",
    "Events queued in a service whose fate is not known yet.",
    ("topic",),
)

CONSUMED = Metric(
    "ragwheel_messages_consumed_total",
    "counter",
    "intake",
    "Messages read from Kafka, replays after a restart included.",
    ("topic",),
)
LANDED = Metric(
    "ragwheel_messages_landed_total",
    "counter",
    "intake",
    "Messages whose rows ClickHouse confirmed.",
    ("topic",),
)
DEAD_LETTERED = Metric(
    "ragwheel_messages_dead_lettered_total",
    "counter",
    "intake",
    "Messages preserved in the dead-letter topic.",
    ("topic", "reason"),
)
FRESHNESS = Metric(
    "ragwheel_newest_event_age_seconds",
    "gauge",
    "intake",
    "Age of the newest event of a topic that is readable in ClickHouse.",
    ("topic",),
)
INSERT_SECONDS = Metric(
    "ragwheel_insert_seconds", "histogram", "intake", "Time of one ClickHouse insert.", ("table",)
)
INSERT_ROWS = Metric(
    "ragwheel_insert_rows_total",
    "counter",
    "intake",
    "Rows inserted, replays included.",
    ("table",),
)
INSERT_ERRORS = Metric(
    "ragwheel_insert_errors_total",
    "counter",
    "intake",
    "Inserts that failed and were tried again.",
    ("table",),
)
RETRIEVALS = Metric(
    "ragwheel_retrievals_total", "counter", "intake", "Retrievals landed.", ("segment", "stage")
)
ZERO_RESULTS = Metric(
    "ragwheel_zero_result_retrievals_total",
    "counter",
    "intake",
    "Retrievals that returned nothing.",
    ("segment", "stage"),
)
FEEDBACK = Metric(
    "ragwheel_feedback_total", "counter", "intake", "Feedback events landed.", ("segment", "kind")
)
SAMPLED = Metric(
    "ragwheel_sampled_queries_total",
    "counter",
    "intake",
    "Grading jobs created by the sampler.",
    ("segment",),
)

PRODUCED = Metric(
    "ragwheel_topic_produced_messages",
    "gauge",
    "accounts",
    "Messages that Kafka accepted since the topic's first accounted offset.",
    ("topic",),
)
IN_FLIGHT = Metric(
    "ragwheel_topic_in_flight_messages",
    "gauge",
    "accounts",
    "Messages in Kafka that intake has not committed yet (consumer lag).",
    ("topic",),
)
UNACCOUNTED = Metric(
    "ragwheel_topic_unaccounted_messages",
    "gauge",
    "accounts",
    "Committed messages that neither landed nor were dead-lettered. Must be 0.",
    ("topic",),
)
ACCOUNTS_READ = Metric(
    "ragwheel_accounts_read_timestamp_seconds",
    "gauge",
    "accounts",
    "Unix time at which the accounts were last read.",
)

LABELS = Metric(
    "ragwheel_labels_total",
    "counter",
    "grader",
    "Labels produced, by status; only `graded` carries a grade.",
    ("role", "segment", "status"),
)
GRADES = Metric(
    "ragwheel_grades_total", "counter", "grader", "Grades given, 0-3.", ("role", "segment", "grade")
)
LABEL_CACHE_HITS = Metric(
    "ragwheel_label_cache_hits_total",
    "counter",
    "grader",
    "Pairs that were not paid for again.",
    ("source",),
)
LLM_CALLS = Metric(
    "ragwheel_llm_calls_total",
    "counter",
    "grader",
    "Calls to the LLM by outcome.",
    ("model", "outcome"),
)
LLM_SECONDS = Metric(
    "ragwheel_llm_call_seconds", "histogram", "grader", "Duration of one LLM call.", ("model",)
)
LLM_TOKENS = Metric(
    "ragwheel_llm_tokens_total", "counter", "grader", "Tokens billed.", ("model", "direction")
)
LLM_COST = Metric(
    "ragwheel_llm_cost_usd_total",
    "counter",
    "grader",
    "Money spent by the price table, USD.",
    ("model",),
)
LLM_RETRIES = Metric(
    "ragwheel_llm_retries_total",
    "counter",
    "grader",
    "Calls that were tried again, by reason.",
    ("reason",),
)
JOBS_IN_FLIGHT = Metric(
    "ragwheel_grader_jobs_in_flight", "gauge", "grader", "Jobs read and not yet acknowledged."
)
OLDEST_UNACKED = Metric(
    "ragwheel_grader_oldest_unacked_seconds",
    "gauge",
    "grader",
    "Age of the oldest job in flight: a stuck grader shows here first.",
)
GRADER_CONFIGURED = Metric(
    "ragwheel_grader_configured",
    "gauge",
    "grader",
    "1 while this worker has an endpoint to ask, 0 while it waits for a key.",
)
BUDGET_USD = Metric(
    "ragwheel_llm_daily_budget_usd", "gauge", "grader", "Daily spending limit; 0 is none."
)
SPENT_TODAY_USD = Metric(
    "ragwheel_llm_spent_today_usd", "gauge", "grader", "Spent by this worker since midnight UTC."
)

TRAIN_QUERIES = Metric(
    "ragwheel_train_queries_available",
    "gauge",
    "trainer",
    "Queries with a relevant label since the last training.",
)
TRAIN_THRESHOLD = Metric(
    "ragwheel_train_queries_threshold", "gauge", "trainer", "Queries that start the next training."
)
TRAIN_CYCLES = Metric(
    "ragwheel_train_cycles_total", "counter", "trainer", "Training cycles by verdict.", ("verdict",)
)
TRAIN_STAGE_SECONDS = Metric(
    "ragwheel_train_stage_seconds",
    "gauge",
    "trainer",
    "Duration of each stage of the last cycle.",
    ("stage",),
)
TRIPLETS = Metric(
    "ragwheel_train_triplets", "gauge", "trainer", "Triplets of the last training set."
)
QUALITY = Metric(
    "ragwheel_retrieval_quality",
    "gauge",
    "trainer",
    "Held-out quality of the last gate.",
    ("metric", "k", "segment", "system"),
)
QUALITY_LOW = Metric(
    "ragwheel_retrieval_quality_low",
    "gauge",
    "trainer",
    "Lower end of its 95 % interval.",
    ("metric", "k", "segment", "system"),
)
QUALITY_HIGH = Metric(
    "ragwheel_retrieval_quality_high",
    "gauge",
    "trainer",
    "Upper end of its 95 % interval.",
    ("metric", "k", "segment", "system"),
)
GATE_QUERIES = Metric(
    "ragwheel_gate_queries",
    "gauge",
    "trainer",
    "Judged held-out queries of the last gate.",
    ("segment",),
)
SERVING_MODEL = Metric(
    "ragwheel_serving_model_info",
    "gauge",
    "trainer",
    "1 for the model that is promoted now.",
    ("model_id", "base_model"),
)

LOOP_DUE = Metric(
    "ragwheel_loop_due_timestamp_seconds",
    "gauge",
    "worker",
    "Unix time by which the main loop turns again; /healthz answers 503 once it has passed.",
)
# fmt: on

ALL_METRICS: tuple[Metric, ...] = tuple(
    value for value in list(globals().values()) if isinstance(value, Metric)
)
