CREATE TABLE chunks
(
    `chunk_hash` String,
    `text` String CODEC(ZSTD(1)),
    `ts` DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree
ORDER BY chunk_hash
SETTINGS non_replicated_deduplication_window = 1000, index_granularity = 8192

CREATE TABLE dead_letters
(
    `dead_letter_id` String,
    `topic` LowCardinality(String),
    `partition` UInt32,
    `offset` UInt64,
    `key` Nullable(String),
    `payload` Nullable(String) CODEC(ZSTD(1)),
    `reason` LowCardinality(String),
    `detail` String CODEC(ZSTD(1)),
    `ts` DateTime64(3, 'UTC'),
    `kafka_partition` UInt32,
    `kafka_offset` UInt64
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(ts)
ORDER BY (topic, reason, ts, dead_letter_id)
TTL toDateTime(ts) + toIntervalDay(30)
SETTINGS non_replicated_deduplication_window = 1000, index_granularity = 8192

CREATE TABLE feedback
(
    `event_id` String,
    `query_id` String,
    `ts` DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    `service` LowCardinality(String),
    `segment` LowCardinality(String),
    `kind` LowCardinality(String),
    `chunk_id` String,
    `value` Float64,
    `extra` String CODEC(ZSTD(1)),
    `kafka_partition` UInt32,
    `kafka_offset` UInt64 CODEC(Delta(8), ZSTD(1))
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(ts)
ORDER BY (query_id, ts, event_id)
TTL toDateTime(ts) + toIntervalDay(180)
SETTINGS non_replicated_deduplication_window = 1000, index_granularity = 8192

CREATE TABLE grading_jobs
(
    `job_id` String,
    `role` LowCardinality(String),
    `query_id` String,
    `query` String CODEC(ZSTD(1)),
    `query_hash` String,
    `segment` LowCardinality(String),
    `ts` DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    `stratum` LowCardinality(String),
    `inclusion_probability` Float64,
    `chunk_hashes` Array(String) CODEC(ZSTD(1)),
    `kafka_partition` UInt32,
    `kafka_offset` UInt64 CODEC(Delta(8), ZSTD(1))
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(ts)
ORDER BY (segment, ts, job_id)
TTL toDateTime(ts) + toIntervalDay(180)
SETTINGS non_replicated_deduplication_window = 1000, index_granularity = 8192

CREATE TABLE index_entries
(
    `index_version` LowCardinality(String),
    `chunk_id` String,
    `chunk_hash` String,
    `source` LowCardinality(String),
    `ts` DateTime64(3, 'UTC'),
    `kafka_partition` UInt32,
    `kafka_offset` UInt64
)
ENGINE = ReplacingMergeTree(ts)
ORDER BY (index_version, chunk_id)
SETTINGS non_replicated_deduplication_window = 1000, index_granularity = 8192

CREATE TABLE ingest_ledger
(
    `topic` LowCardinality(String),
    `partition` UInt32,
    `first_offset` UInt64,
    `last_offset` UInt64,
    `landed` UInt64,
    `dead_lettered` UInt64,
    `at` DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree
ORDER BY (topic, partition, first_offset, last_offset)
TTL toDateTime(at) + toIntervalDay(30)
SETTINGS non_replicated_deduplication_window = 1000, index_granularity = 8192

CREATE TABLE labels
(
    `label_id` String,
    `job_id` String,
    `role` LowCardinality(String),
    `query_id` String,
    `query` String CODEC(ZSTD(1)),
    `query_hash` String,
    `segment` LowCardinality(String),
    `chunk_hash` String,
    `status` LowCardinality(String),
    `grade` Nullable(UInt8),
    `expected_grade` Nullable(Float32),
    `grader_id` LowCardinality(String),
    `model` LowCardinality(String),
    `rubric_version` LowCardinality(String),
    `prompt_hash` LowCardinality(String),
    `stratum` LowCardinality(String),
    `inclusion_probability` Float64,
    `input_tokens` UInt32,
    `output_tokens` UInt32,
    `cost_usd` Float64,
    `latency_ms` Float32,
    `attempts` UInt16,
    `reason` String CODEC(ZSTD(1)),
    `ts` DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    `graded_at` DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    `kafka_partition` UInt32,
    `kafka_offset` UInt64 CODEC(Delta(8), ZSTD(1)),
    `precedence` UInt64 MATERIALIZED if(status = 'graded', 9223372036854775807 - toUnixTimestamp64Milli(graded_at), toUnixTimestamp64Milli(graded_at))
)
ENGINE = ReplacingMergeTree(precedence)
ORDER BY label_id
SETTINGS non_replicated_deduplication_window = 1000, index_granularity = 8192

CREATE TABLE model_metrics
(
    `event_id` String,
    `model_id` String,
    `ts` DateTime64(3, 'UTC'),
    `metric` LowCardinality(String),
    `k` UInt32,
    `segment` LowCardinality(String),
    `system` LowCardinality(String),
    `value` Float64,
    `ci_low` Float64,
    `ci_high` Float64,
    `queries` UInt32
)
ENGINE = ReplacingMergeTree
ORDER BY (event_id, metric, k, segment, system)
SETTINGS non_replicated_deduplication_window = 1000, index_granularity = 8192

CREATE TABLE models
(
    `event_id` String,
    `model_id` String,
    `incumbent_id` String,
    `base_model` String,
    `kind` LowCardinality(String),
    `action` LowCardinality(String),
    `reason` String,
    `snapshot_id` String,
    `triplets` UInt64,
    `labels` UInt64,
    `seed` UInt64,
    `uri` String,
    `ts` DateTime64(3, 'UTC'),
    `extra` String,
    `kafka_partition` UInt32,
    `kafka_offset` UInt64
)
ENGINE = ReplacingMergeTree
ORDER BY (ts, event_id)
SETTINGS non_replicated_deduplication_window = 1000, index_granularity = 8192

CREATE TABLE queries
(
    `event_id` String,
    `query_id` String,
    `ts` DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    `service` LowCardinality(String),
    `segment` LowCardinality(String),
    `text` String CODEC(ZSTD(1)),
    `query_hash` String,
    `user` String CODEC(ZSTD(1)),
    `session` String CODEC(ZSTD(1)),
    `attributes` String CODEC(ZSTD(1)),
    `extra` String CODEC(ZSTD(1)),
    `kafka_partition` UInt32,
    `kafka_offset` UInt64 CODEC(Delta(8), ZSTD(1))
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(ts)
ORDER BY (segment, ts, event_id)
TTL toDateTime(ts) + toIntervalDay(180)
SETTINGS non_replicated_deduplication_window = 1000, index_granularity = 8192

CREATE TABLE retrievals
(
    `event_id` String,
    `query_id` String,
    `ts` DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    `service` LowCardinality(String),
    `segment` LowCardinality(String),
    `query` String CODEC(ZSTD(1)),
    `query_hash` String,
    `stage` LowCardinality(String),
    `retriever` LowCardinality(String),
    `embedding_model` LowCardinality(String),
    `index_version` LowCardinality(String),
    `k` UInt32,
    `latency_ms` Float32,
    `chunk_ids` Array(String) CODEC(ZSTD(1)),
    `chunk_hashes` Array(String) CODEC(ZSTD(1)),
    `ranks` Array(UInt32) CODEC(ZSTD(1)),
    `scores` Array(Float32) CODEC(ZSTD(1)),
    `in_context` Array(Bool) CODEC(ZSTD(1)),
    `extra` String CODEC(ZSTD(1)),
    `kafka_partition` UInt32,
    `kafka_offset` UInt64 CODEC(Delta(8), ZSTD(1))
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(ts)
ORDER BY (segment, ts, event_id)
TTL toDateTime(ts) + toIntervalDay(180)
SETTINGS non_replicated_deduplication_window = 1000, index_granularity = 8192

CREATE TABLE schema_migrations
(
    `version` UInt32,
    `name` String,
    `checksum` String,
    `run_id` String,
    `runner` String,
    `state` LowCardinality(String),
    `statements` UInt32,
    `at` DateTime64(6, 'UTC')
)
ENGINE = MergeTree
ORDER BY (version, run_id, at)
SETTINGS index_granularity = 8192

CREATE VIEW v_chunks
(
    `chunk_hash` String,
    `text` String,
    `ts` DateTime64(3, 'UTC')
)
AS SELECT *
FROM chunks
FINAL

CREATE VIEW v_dead_letters
(
    `dead_letter_id` String,
    `topic` LowCardinality(String),
    `partition` UInt32,
    `offset` UInt64,
    `key` Nullable(String),
    `payload` Nullable(String),
    `reason` LowCardinality(String),
    `detail` String,
    `ts` DateTime64(3, 'UTC'),
    `kafka_partition` UInt32,
    `kafka_offset` UInt64
)
AS SELECT *
FROM dead_letters
FINAL

CREATE VIEW v_feedback
(
    `event_id` String,
    `query_id` String,
    `ts` DateTime64(3, 'UTC'),
    `service` LowCardinality(String),
    `segment` LowCardinality(String),
    `kind` LowCardinality(String),
    `chunk_id` String,
    `value` Float64,
    `extra` String,
    `kafka_partition` UInt32,
    `kafka_offset` UInt64
)
AS SELECT *
FROM feedback
FINAL

CREATE VIEW v_grading_jobs
(
    `job_id` String,
    `role` LowCardinality(String),
    `query_id` String,
    `query` String,
    `query_hash` String,
    `segment` LowCardinality(String),
    `ts` DateTime64(3, 'UTC'),
    `stratum` LowCardinality(String),
    `inclusion_probability` Float64,
    `chunk_hashes` Array(String),
    `kafka_partition` UInt32,
    `kafka_offset` UInt64
)
AS SELECT *
FROM grading_jobs
FINAL

CREATE VIEW v_index_entries
(
    `index_version` LowCardinality(String),
    `chunk_id` String,
    `chunk_hash` String,
    `source` LowCardinality(String),
    `ts` DateTime64(3, 'UTC'),
    `kafka_partition` UInt32,
    `kafka_offset` UInt64
)
AS SELECT *
FROM index_entries
FINAL

CREATE VIEW v_ingest_ledger
(
    `topic` LowCardinality(String),
    `partition` UInt32,
    `first_offset` UInt64,
    `last_offset` UInt64,
    `landed` UInt64,
    `dead_lettered` UInt64,
    `at` DateTime64(3, 'UTC')
)
AS SELECT *
FROM ingest_ledger
FINAL

CREATE VIEW v_labels
(
    `label_id` String,
    `job_id` String,
    `role` LowCardinality(String),
    `query_id` String,
    `query` String,
    `query_hash` String,
    `segment` LowCardinality(String),
    `chunk_hash` String,
    `status` LowCardinality(String),
    `grade` Nullable(UInt8),
    `expected_grade` Nullable(Float32),
    `grader_id` LowCardinality(String),
    `model` LowCardinality(String),
    `rubric_version` LowCardinality(String),
    `prompt_hash` LowCardinality(String),
    `stratum` LowCardinality(String),
    `inclusion_probability` Float64,
    `input_tokens` UInt32,
    `output_tokens` UInt32,
    `cost_usd` Float64,
    `latency_ms` Float32,
    `attempts` UInt16,
    `reason` String,
    `ts` DateTime64(3, 'UTC'),
    `graded_at` DateTime64(3, 'UTC'),
    `kafka_partition` UInt32,
    `kafka_offset` UInt64
)
AS SELECT *
FROM labels
FINAL

CREATE VIEW v_model_metrics
(
    `event_id` String,
    `model_id` String,
    `ts` DateTime64(3, 'UTC'),
    `metric` LowCardinality(String),
    `k` UInt32,
    `segment` LowCardinality(String),
    `system` LowCardinality(String),
    `value` Float64,
    `ci_low` Float64,
    `ci_high` Float64,
    `queries` UInt32
)
AS SELECT *
FROM model_metrics
FINAL

CREATE VIEW v_models
(
    `event_id` String,
    `model_id` String,
    `incumbent_id` String,
    `base_model` String,
    `kind` LowCardinality(String),
    `action` LowCardinality(String),
    `reason` String,
    `snapshot_id` String,
    `triplets` UInt64,
    `labels` UInt64,
    `seed` UInt64,
    `uri` String,
    `ts` DateTime64(3, 'UTC'),
    `extra` String,
    `kafka_partition` UInt32,
    `kafka_offset` UInt64
)
AS SELECT *
FROM models
FINAL

CREATE VIEW v_queries
(
    `event_id` String,
    `query_id` String,
    `ts` DateTime64(3, 'UTC'),
    `service` LowCardinality(String),
    `segment` LowCardinality(String),
    `text` String,
    `query_hash` String,
    `user` String,
    `session` String,
    `attributes` String,
    `extra` String,
    `kafka_partition` UInt32,
    `kafka_offset` UInt64
)
AS SELECT *
FROM queries
FINAL

CREATE VIEW v_retrievals
(
    `event_id` String,
    `query_id` String,
    `ts` DateTime64(3, 'UTC'),
    `service` LowCardinality(String),
    `segment` LowCardinality(String),
    `query` String,
    `query_hash` String,
    `stage` LowCardinality(String),
    `retriever` LowCardinality(String),
    `embedding_model` LowCardinality(String),
    `index_version` LowCardinality(String),
    `k` UInt32,
    `latency_ms` Float32,
    `chunk_ids` Array(String),
    `chunk_hashes` Array(String),
    `ranks` Array(UInt32),
    `scores` Array(Float32),
    `in_context` Array(Bool),
    `extra` String,
    `kafka_partition` UInt32,
    `kafka_offset` UInt64
)
AS SELECT *
FROM retrievals
FINAL
