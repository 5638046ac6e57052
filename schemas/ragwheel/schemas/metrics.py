"""The typed registry of metrics: every name, its labels and its meaning, once.

Base units (seconds, bytes, dollars), few labels. Dashboards and alert rules are tested against
this list, and docs/metrics.md is printed from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

#: `worker` stands for each of intake, accounts, grader, trainer and server.
ProcessName = Literal["client", "intake", "accounts", "grader", "trainer", "server", "worker"]
Kind = Literal["counter", "gauge", "histogram"]


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric family.

    Attributes:
        name: full Prometheus name, with `_total` for counters.
        process: who exports it.
        labels: label names, in order.
    """

    name: str
    kind: Kind
    process: ProcessName
    help: str
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Exporter:
    """Makes the metrics of one process."""

    process: ProcessName

    def counter(self, name: str, about: str, *labels: str) -> Metric:
        return Metric(name, "counter", self.process, about, labels)

    def gauge(self, name: str, about: str, *labels: str) -> Metric:
        return Metric(name, "gauge", self.process, about, labels)

    def histogram(self, name: str, about: str, *labels: str) -> Metric:
        return Metric(name, "histogram", self.process, about, labels)


_CLIENT = _Exporter("client")
CLIENT_EVENTS = _CLIENT.counter(
    "ragwheel_client_events_total",
    "Events a service handed over, by outcome: delivered, failed, dropped, invalid.",
    "topic",
    "outcome",
)
CLIENT_PENDING = _CLIENT.gauge(
    "ragwheel_client_pending_events",
    "Events queued in a service whose fate is not known yet.",
    "topic",
)

_INTAKE = _Exporter("intake")
CONSUMED = _INTAKE.counter(
    "ragwheel_messages_consumed_total",
    "Messages read from Kafka, replays after a restart included.",
    "topic",
)
LANDED = _INTAKE.counter(
    "ragwheel_messages_landed_total", "Messages whose rows ClickHouse confirmed.", "topic"
)
FORGOTTEN = _INTAKE.counter(
    "ragwheel_messages_forgotten_total",
    "Messages of which nothing was stored, because what they tell of was forgotten.",
    "topic",
)
DEAD_LETTERED = _INTAKE.counter(
    "ragwheel_messages_dead_lettered_total",
    "Messages preserved in the dead-letter topic.",
    "topic",
    "reason",
)
FRESHNESS = _INTAKE.gauge(
    "ragwheel_newest_event_age_seconds",
    "Age of the newest event of a topic that is readable in ClickHouse.",
    "topic",
)
INSERT_SECONDS = _INTAKE.histogram(
    "ragwheel_insert_seconds", "Time of one ClickHouse insert.", "table"
)
INSERT_ROWS = _INTAKE.counter(
    "ragwheel_insert_rows_total", "Rows inserted, replays included.", "table"
)
INSERT_ERRORS = _INTAKE.counter(
    "ragwheel_insert_errors_total", "Inserts that failed and were tried again.", "table"
)
QUERIES = _INTAKE.counter("ragwheel_queries_total", "Queries landed.", "segment")
RETRIEVALS = _INTAKE.counter("ragwheel_retrievals_total", "Retrievals landed.", "segment", "stage")
ZERO_RESULTS = _INTAKE.counter(
    "ragwheel_zero_result_retrievals_total", "Retrievals that returned nothing.", "segment", "stage"
)
RETRIEVAL_SECONDS = _INTAKE.histogram(
    "ragwheel_retrieval_seconds", "Duration of a retrieval, as the service measured it.", "stage"
)
FEEDBACK = _INTAKE.counter("ragwheel_feedback_total", "Feedback events landed.", "segment", "kind")
SAMPLED = _INTAKE.counter(
    "ragwheel_sampled_queries_total", "Grading jobs created by the sampler.", "segment"
)

SAMPLING_PACE = _INTAKE.gauge(
    "ragwheel_sampling_pace",
    "What sampling rates are multiplied with so that the day's money lasts; 1 is not paced.",
)
PACE_READABLE = _INTAKE.gauge(
    "ragwheel_sampling_pace_readable",
    "0 while the log of claims cannot be read and the last known pace stays in force.",
)

_ACCOUNTS = _Exporter("accounts")
PRODUCED = _ACCOUNTS.gauge(
    "ragwheel_topic_produced_messages",
    "Messages that Kafka accepted since the topic's first accounted offset.",
    "topic",
)
IN_FLIGHT = _ACCOUNTS.gauge(
    "ragwheel_topic_in_flight_messages",
    "Messages in Kafka that intake has not committed yet (consumer lag).",
    "topic",
)
UNACCOUNTED = _ACCOUNTS.gauge(
    "ragwheel_topic_unaccounted_messages",
    "Committed messages that neither landed nor were dead-lettered. Must be 0.",
    "topic",
)
ACCOUNTS_READ = _ACCOUNTS.gauge(
    "ragwheel_accounts_read_timestamp_seconds",
    "When the accounts were last read, seconds since 1970; their gauges stand still since then.",
)
UNFINISHED_LABELS = _ACCOUNTS.gauge(
    "ragwheel_unfinished_labels",
    "Labels that landed without a grade and were not graded since.",
    "status",
)
UNFINISHED_LABELS_AGE = _ACCOUNTS.gauge(
    "ragwheel_unfinished_labels_oldest_seconds",
    "Since when the oldest of these labels is without a grade.",
    "status",
)

_GRADER = _Exporter("grader")
LABELS = _GRADER.counter(
    "ragwheel_labels_total",
    "Labels produced, by status; only `graded` carries a grade.",
    "role",
    "segment",
    "status",
)
GRADES = _GRADER.counter("ragwheel_grades_total", "Grades given, 0-3.", "role", "segment", "grade")
DECOYS_GRADED = _GRADER.counter(
    "ragwheel_decoys_graded_total",
    "Random chunks that were graded among others to measure the grader, by its role.",
    "role",
    "segment",
)
DECOYS_FLAGGED = _GRADER.counter(
    "ragwheel_decoys_flagged_total",
    "Of these, graded 2 or 3: their share is the grader's rate of false alarms.",
    "role",
    "segment",
)
DECOYS_MISSING = _GRADER.counter(
    "ragwheel_decoys_missing_total",
    "Decoys that calls went without, because no chunk of the index was known that could be one.",
    "segment",
)
LABEL_CACHE_HITS = _GRADER.counter(
    "ragwheel_label_cache_hits_total", "Pairs that were not paid for again.", "source"
)
LLM_CALLS = _GRADER.counter(
    "ragwheel_llm_calls_total", "Calls to the LLM by outcome.", "model", "outcome"
)
LLM_SECONDS = _GRADER.histogram("ragwheel_llm_call_seconds", "Duration of one LLM call.", "model")
LLM_TOKENS = _GRADER.counter("ragwheel_llm_tokens_total", "Tokens billed.", "model", "direction")
LLM_COST = _GRADER.counter(
    "ragwheel_llm_cost_usd_total", "Money spent by the price table, USD.", "model"
)
LLM_RETRIES = _GRADER.counter(
    "ragwheel_llm_retries_total", "Calls that were tried again, by reason.", "reason"
)
LLM_BREAKER = _GRADER.gauge(
    "ragwheel_llm_breaker",
    "1 for the state that the circuit to a model is in (closed, open, half_open), and why.",
    "model",
    "state",
    "reason",
)
JOBS_IN_FLIGHT = _GRADER.gauge(
    "ragwheel_grader_jobs_in_flight", "Jobs read and not yet acknowledged."
)
STAND_IN = _GRADER.gauge(
    "ragwheel_grader_stand_in",
    "For the model of each role: 1 if it only stands in for an LLM, 0 if it is one.",
    "role",
    "model",
)
OLDEST_UNACKED = _GRADER.gauge(
    "ragwheel_grader_oldest_unacked_seconds",
    "Age of the oldest job in flight: a stuck grader shows here first.",
)
GRADER_CONFIGURED = _GRADER.gauge(
    "ragwheel_grader_configured",
    "1 while this worker has an endpoint to ask, 0 while it waits for a key.",
)
BUDGET_USD = _GRADER.gauge(
    "ragwheel_llm_daily_budget_usd", "Daily spending limit of all graders; 0 is none."
)
BUDGET_TOKENS = _GRADER.gauge(
    "ragwheel_llm_daily_budget_tokens", "Daily limit of all graders in tokens; 0 is none."
)
CLAIMED_TODAY_USD = _GRADER.gauge(
    "ragwheel_llm_claimed_today_usd",
    "What all graders claimed of the day's money: spent, or set aside for calls under way.",
)
CLAIMED_TODAY_TOKENS = _GRADER.gauge("ragwheel_llm_claimed_today_tokens", "The same in tokens.")
PURSE_EMPTY = _GRADER.gauge(
    "ragwheel_llm_purse_empty", "1 while calls wait because the day's money is gone."
)
SPENT_TODAY_USD = _GRADER.gauge(
    "ragwheel_llm_spent_today_usd", "Spent by this worker since midnight UTC."
)

_TRAINER = _Exporter("trainer")
TRAIN_QUERIES = _TRAINER.gauge(
    "ragwheel_train_queries_available", "Queries with a relevant label since the last training."
)
TRAIN_THRESHOLD = _TRAINER.gauge(
    "ragwheel_train_queries_threshold", "Queries that start the next training."
)
TRAIN_CYCLES = _TRAINER.counter(
    "ragwheel_train_cycles_total", "Training cycles by verdict.", "verdict"
)
TRAIN_STAGE_SECONDS = _TRAINER.gauge(
    "ragwheel_train_stage_seconds", "Duration of each stage of the last cycle.", "stage"
)
TRIPLETS = _TRAINER.gauge("ragwheel_train_triplets", "Triplets of the last training set.")
QUALITY = _TRAINER.gauge(
    "ragwheel_retrieval_quality",
    "Held-out quality at the last gate; recall is pooled, so only figures of one gate compare.",
    "metric",
    "k",
    "segment",
    "system",
)
QUALITY_LOW = _TRAINER.gauge(
    "ragwheel_retrieval_quality_low",
    "Lower end of its 95 % interval.",
    "metric",
    "k",
    "segment",
    "system",
)
QUALITY_HIGH = _TRAINER.gauge(
    "ragwheel_retrieval_quality_high",
    "Upper end of its 95 % interval.",
    "metric",
    "k",
    "segment",
    "system",
)
GATE_QUERIES = _TRAINER.gauge(
    "ragwheel_gate_queries", "Judged held-out queries of the last gate.", "segment"
)
PROMOTED_MODEL = _TRAINER.gauge(
    "ragwheel_promoted_model_info",
    "1 for the model that is promoted now.",
    "model_id",
    "base_model",
)
PROMOTED_UNSEEN = _TRAINER.gauge(
    "ragwheel_promoted_unseen_seconds",
    "Since when the promoted model was named by no retrieval; 0: one named it, or the base serves.",
)
PROMOTED_UNSEEN_LIMIT = _TRAINER.gauge(
    "ragwheel_promoted_unseen_limit_seconds",
    "After how long an alert fires (RAGWHEEL_SERVED_WITHIN_HOURS); 0: never.",
)

_SERVER = _Exporter("server")
SERVING_REQUESTS = _SERVER.counter(
    "ragwheel_serving_requests_total",
    "Requests answered, by route and HTTP status; 499: the caller hung up.",
    "route",
    "code",
)
SERVING_SECONDS = _SERVER.histogram(
    "ragwheel_serving_seconds", "Time from a request's head to its answer.", "route"
)
SERVED_MODEL = _SERVER.gauge(
    "ragwheel_serving_model_info",
    "1 for the model that answers, with the fingerprint of the documents it is compared with.",
    "model",
    "documents",
)
SERVING_SWAPS = _SERVER.counter(
    "ragwheel_serving_swaps_total",
    "Tries to get another model into service, by outcome: served or refused.",
    "outcome",
)
SERVING_REFUSALS = _SERVER.counter(
    "ragwheel_serving_refusals_total", "Models that did not get into service.", "reason"
)
SERVING_BATCHES = _SERVER.counter("ragwheel_serving_batches_total", "Batches encoded.")
SERVING_BATCH_TEXTS = _SERVER.gauge("ragwheel_serving_batch_texts", "Texts of the last batch.")
SERVING_WAITING_TEXTS = _SERVER.gauge(
    "ragwheel_serving_waiting_texts", "Texts that waited when the last batch began."
)
SERVING_CACHE_LOOKUPS = _SERVER.counter(
    "ragwheel_serving_cache_lookups_total",
    "Texts looked up among the recent vectors, by outcome: hit or miss.",
    "outcome",
)
SERVING_SHADOW_OVERLAP = _SERVER.gauge(
    "ragwheel_serving_shadow_overlap",
    "Share of the first ten that the candidate and the model in service have in common.",
    "candidate",
)
SERVING_DROPPED = _SERVER.counter(
    "ragwheel_serving_dropped_total", "Texts whose caller hung up before they were encoded."
)
SERVING_ENCODE_ERRORS = _SERVER.counter(
    "ragwheel_serving_encode_errors_total",
    "Texts on which the model failed, or of which it made numbers that are none.",
)

_WORKER = _Exporter("worker")
BUILD = _WORKER.gauge("ragwheel_build_info", "1 for what runs here.", "version", "python")
LOOP_DUE = _WORKER.gauge(
    "ragwheel_loop_due_timestamp_seconds",
    "Unix time by which the main loop turns again; /healthz answers 503 once it has passed.",
)

#: Labels whose values services choose, and how many different ones are shown; the rest is `other`.
#: A value is a time series in each family that has the label, for as long as the process lives.
MOST_VALUES = {"segment": 100, "stage": 50}

ALL_METRICS: tuple[Metric, ...] = tuple(
    value for value in list(globals().values()) if isinstance(value, Metric)
)
