CREATE TABLE accounts_state
(
    `name` String,
    `state` String CODEC(ZSTD(1)),
    `at` DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(at)
ORDER BY name
SETTINGS non_replicated_deduplication_window = 1000, index_granularity = 8192

CREATE TABLE chunks
(
    `chunk_hash` FixedString(16),
    `text` String CODEC(ZSTD(1)),
    `ts` DateTime64(3, 'UTC'),
    `landed_at` DateTime('UTC') MATERIALIZED now('UTC') CODEC(Delta(4), ZSTD(1))
)
ENGINE = ReplacingMergeTree(ts)
ORDER BY chunk_hash
TTL landed_at + toIntervalDay(730)
SETTINGS non_replicated_deduplication_window = 1000, index_granularity = 8192

CREATE TABLE dead_letters
(
    `dead_letter_id` FixedString(16),
    `topic` LowCardinality(String),
    `partition` UInt32,
    `offset` UInt64,
    `key` Nullable(String),
    `payload` Nullable(String) CODEC(ZSTD(1)),
    `reason` LowCardinality(String),
    `detail` String CODEC(ZSTD(1)),
    `ts` DateTime64(3, 'UTC'),
    `landed_at` DateTime('UTC') MATERIALIZED now('UTC') CODEC(Delta(4), ZSTD(1)),
    INDEX times ts TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(ts)
ORDER BY dead_letter_id
TTL landed_at + toIntervalDay(30)
SETTINGS non_replicated_deduplication_window = 1000, ttl_only_drop_parts = 1, index_granularity = 8192

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
    `landed_at` DateTime('UTC') MATERIALIZED now('UTC') CODEC(Delta(4), ZSTD(1)),
    INDEX times ts TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(ts)
ORDER BY (query_id, event_id)
TTL landed_at + toIntervalDay(180)
SETTINGS non_replicated_deduplication_window = 1000, ttl_only_drop_parts = 1, index_granularity = 8192

CREATE TABLE forgotten
(
    `kind` LowCardinality(String),
    `hash` FixedString(16),
    `at` DateTime64(3, 'UTC'),
    `landed_at` DateTime('UTC') MATERIALIZED now('UTC') CODEC(Delta(4), ZSTD(1))
)
ENGINE = ReplacingMergeTree(at)
ORDER BY (kind, hash)
SETTINGS non_replicated_deduplication_window = 1000, index_granularity = 8192

CREATE TABLE gate_queries
(
    `event_id` String,
    `query_hash` FixedString(16),
    `ts` DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree
ORDER BY (event_id, query_hash)
SETTINGS non_replicated_deduplication_window = 1000, index_granularity = 8192

CREATE TABLE grading_jobs
(
    `job_id` FixedString(16),
    `role` LowCardinality(String),
    `query_id` String,
    `query` String CODEC(ZSTD(1)),
    `query_hash` FixedString(16),
    `segment` LowCardinality(String),
    `index` LowCardinality(String),
    `ts` DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    `stratum` LowCardinality(String),
    `inclusion_probability` Float64,
    `chunk_hashes` Array(FixedString(16)) CODEC(ZSTD(1)),
    `landed_at` DateTime('UTC') MATERIALIZED now('UTC') CODEC(Delta(4), ZSTD(1))
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(ts)
ORDER BY job_id
TTL landed_at + toIntervalDay(180)
SETTINGS non_replicated_deduplication_window = 1000, ttl_only_drop_parts = 1, index_granularity = 8192

CREATE TABLE index_entries
(
    `index` LowCardinality(String),
    `index_version` LowCardinality(String),
    `chunk_id` String,
    `chunk_hash` FixedString(16),
    `source` LowCardinality(String),
    `deleted` Bool,
    `ts` DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(ts)
ORDER BY (index, index_version, chunk_id)
SETTINGS non_replicated_deduplication_window = 1000, index_granularity = 8192

CREATE TABLE indexes
(
    `index` LowCardinality(String),
    `index_version` LowCardinality(String),
    `ts` DateTime64(3, 'UTC'),
    `complete` Bool,
    `chunks` UInt32,
    `embedding_model` LowCardinality(String),
    `document_fingerprint` LowCardinality(String),
    `prompt` String,
    `max_seq_length` UInt32,
    `extra` String
)
ENGINE = ReplacingMergeTree(ts)
ORDER BY (index, index_version)
SETTINGS non_replicated_deduplication_window = 1000, index_granularity = 8192

CREATE TABLE ingest_ledger
(
    `origin` LowCardinality(String),
    `topic` LowCardinality(String),
    `partition` UInt32,
    `start` UInt64,
    `until` UInt64,
    `dead_lettered` Array(UInt64),
    `absent_from` Array(UInt64),
    `absent_until` Array(UInt64),
    `written_off` String,
    `at` DateTime64(3, 'UTC'),
    `landed_at` DateTime('UTC') MATERIALIZED now('UTC') CODEC(Delta(4), ZSTD(1)),
    INDEX landed landed_at TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMMDD(landed_at)
ORDER BY (origin, partition, until, start)
TTL landed_at + toIntervalDay(30)
SETTINGS non_replicated_deduplication_window = 1000, ttl_only_drop_parts = 1, index_granularity = 1024

CREATE TABLE job_positions
(
    `origin` LowCardinality(String),
    `partition` UInt32,
    `offset` UInt64,
    `job_id` FixedString(16),
    `role` LowCardinality(String),
    `query_hash` FixedString(16),
    `chunk_hashes` Array(FixedString(16)) CODEC(ZSTD(1)),
    `landed_at` DateTime('UTC') MATERIALIZED now('UTC') CODEC(Delta(4), ZSTD(1))
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(landed_at)
ORDER BY (origin, partition, offset)
TTL landed_at + toIntervalDay(30)
SETTINGS non_replicated_deduplication_window = 1000, ttl_only_drop_parts = 1, index_granularity = 256

CREATE TABLE labels
(
    `label_id` FixedString(16),
    `job_id` FixedString(16),
    `role` LowCardinality(String),
    `source` LowCardinality(String),
    `query_id` String,
    `query` String CODEC(ZSTD(1)),
    `query_hash` FixedString(16),
    `segment` LowCardinality(String),
    `chunk_hash` FixedString(16),
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
    `precedence` UInt64 MATERIALIZED if(status = 'graded', 9223372036854775807 - toUnixTimestamp64Milli(graded_at), toUnixTimestamp64Milli(graded_at)),
    `landed_at` DateTime('UTC') MATERIALIZED now('UTC') CODEC(Delta(4), ZSTD(1)),
    INDEX graded graded_at TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree(precedence)
PARTITION BY toYYYYMM(ts)
ORDER BY (query_hash, label_id)
TTL landed_at + toIntervalDay(730)
SETTINGS non_replicated_deduplication_window = 1000, ttl_only_drop_parts = 1, index_granularity = 1024

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
    `document_fingerprint` LowCardinality(String),
    `ts` DateTime64(3, 'UTC'),
    `extra` String
)
ENGINE = ReplacingMergeTree
ORDER BY event_id
SETTINGS non_replicated_deduplication_window = 1000, index_granularity = 8192

CREATE TABLE queries
(
    `event_id` String,
    `query_id` String,
    `ts` DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    `service` LowCardinality(String),
    `segment` LowCardinality(String),
    `text` String CODEC(ZSTD(1)),
    `query_hash` FixedString(16),
    `user` String CODEC(ZSTD(1)),
    `session` String CODEC(ZSTD(1)),
    `attributes` String CODEC(ZSTD(1)),
    `extra` String CODEC(ZSTD(1)),
    `landed_at` DateTime('UTC') MATERIALIZED now('UTC') CODEC(Delta(4), ZSTD(1)),
    INDEX times ts TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(ts)
ORDER BY (query_id, event_id)
TTL landed_at + toIntervalDay(180)
SETTINGS non_replicated_deduplication_window = 1000, ttl_only_drop_parts = 1, index_granularity = 8192

CREATE TABLE reembed_shards
(
    `reembed_id` String,
    `shard_id` FixedString(16),
    `revision` UInt32,
    `state` LowCardinality(String),
    `chunk_ids` Array(String) CODEC(ZSTD(1)),
    `chunk_hashes` Array(FixedString(16)) CODEC(ZSTD(1)),
    `fates` Array(LowCardinality(String)),
    `seconds` Float64,
    `runner` LowCardinality(String),
    `ts` DateTime64(3, 'UTC'),
    `landed_at` DateTime('UTC') MATERIALIZED now('UTC') CODEC(Delta(4), ZSTD(1))
)
ENGINE = ReplacingMergeTree(revision)
ORDER BY (reembed_id, shard_id)
TTL landed_at + toIntervalDay(730)
SETTINGS non_replicated_deduplication_window = 1000, index_granularity = 64

CREATE TABLE reembeds
(
    `reembed_id` String,
    `step` UInt32,
    `state` LowCardinality(String),
    `ts` DateTime64(3, 'UTC'),
    `by` String,
    `reason` String,
    `index` LowCardinality(String),
    `from_version` LowCardinality(String),
    `from_fingerprint` LowCardinality(String),
    `from_physical` String,
    `version` LowCardinality(String),
    `physical` String,
    `store` String,
    `target` String,
    `document_fingerprint` LowCardinality(String),
    `dimension` UInt32,
    `document_prompt` String,
    `query_prompt` String,
    `max_seq_length` UInt32,
    `chunks` UInt64,
    `tokens` UInt64,
    `hours` Float64,
    `uncertainty` Float64,
    `usd_per_hour` Float64,
    `machines` UInt32,
    `findings` String
)
ENGINE = ReplacingMergeTree(ts)
ORDER BY (reembed_id, step)
SETTINGS non_replicated_deduplication_window = 1000, index_granularity = 8192

CREATE TABLE retrievals
(
    `event_id` String,
    `query_id` String,
    `ts` DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    `service` LowCardinality(String),
    `segment` LowCardinality(String),
    `query` String CODEC(ZSTD(1)),
    `query_hash` FixedString(16),
    `stage` LowCardinality(String),
    `retriever` LowCardinality(String),
    `embedding_model` LowCardinality(String),
    `model_id` LowCardinality(String),
    `document_fingerprint` LowCardinality(String),
    `index` LowCardinality(String),
    `index_version` LowCardinality(String),
    `k` UInt32,
    `latency_ms` Float32,
    `chunk_ids` Array(String) CODEC(ZSTD(1)),
    `chunk_hashes` Array(FixedString(16)) CODEC(ZSTD(1)),
    `ranks` Array(UInt32) CODEC(ZSTD(1)),
    `scores` Array(Float32) CODEC(ZSTD(1)),
    `in_context` Array(Bool) CODEC(ZSTD(1)),
    `extra` String CODEC(ZSTD(1)),
    `landed_at` DateTime('UTC') MATERIALIZED now('UTC') CODEC(Delta(4), ZSTD(1)),
    INDEX times ts TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(ts)
ORDER BY (query_id, event_id)
TTL landed_at + toIntervalDay(180)
SETTINGS non_replicated_deduplication_window = 1000, ttl_only_drop_parts = 1, index_granularity = 8192

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

CREATE TABLE spending
(
    `entry_id` FixedString(16),
    `kind` LowCardinality(String),
    `worker` String,
    `day` Date,
    `usd` Float64,
    `tokens` UInt64,
    `limit_usd` Float64,
    `limit_tokens` UInt64,
    `ts` DateTime64(3, 'UTC'),
    `landed_at` DateTime('UTC') MATERIALIZED now('UTC') CODEC(Delta(4), ZSTD(1))
)
ENGINE = ReplacingMergeTree
ORDER BY entry_id
TTL landed_at + toIntervalDay(730)
SETTINGS non_replicated_deduplication_window = 1000, index_granularity = 8192

CREATE TABLE unfinished_labels
(
    `query_hash` FixedString(16),
    `label_id` FixedString(16),
    `role` LowCardinality(String),
    `status` LowCardinality(String),
    `graded_at` DateTime64(3, 'UTC'),
    `landed_at` DateTime('UTC') MATERIALIZED now('UTC') CODEC(Delta(4), ZSTD(1))
)
ENGINE = ReplacingMergeTree(graded_at)
ORDER BY (query_hash, label_id)
TTL landed_at + toIntervalDay(180)
SETTINGS non_replicated_deduplication_window = 1000, index_granularity = 8192

CREATE VIEW v_accounts_state
(
    `name` String,
    `state` String,
    `at` DateTime64(3, 'UTC')
)
AS SELECT *
FROM accounts_state
FINAL

CREATE VIEW v_chunks
(
    `chunk_hash` String,
    `text` String,
    `ts` DateTime64(3, 'UTC')
)
AS SELECT * REPLACE (lower(hex(chunk_hash)) AS chunk_hash)
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
    `ts` DateTime64(3, 'UTC')
)
AS SELECT * REPLACE (lower(hex(dead_letter_id)) AS dead_letter_id)
FROM dead_letters
FINAL
SETTINGS do_not_merge_across_partitions_select_final = 0

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
    `extra` String
)
AS SELECT *
FROM feedback
FINAL
SETTINGS do_not_merge_across_partitions_select_final = 0

CREATE VIEW v_forgotten
(
    `kind` LowCardinality(String),
    `hash` String,
    `at` DateTime64(3, 'UTC')
)
AS SELECT * REPLACE (lower(hex(hash)) AS hash)
FROM forgotten
FINAL

CREATE VIEW v_gate_queries
(
    `event_id` String,
    `query_hash` String,
    `ts` DateTime64(3, 'UTC')
)
AS SELECT * REPLACE (lower(hex(query_hash)) AS query_hash)
FROM gate_queries
FINAL

CREATE VIEW v_grading_jobs
(
    `job_id` String,
    `role` LowCardinality(String),
    `query_id` String,
    `query` String,
    `query_hash` String,
    `segment` LowCardinality(String),
    `index` LowCardinality(String),
    `ts` DateTime64(3, 'UTC'),
    `stratum` LowCardinality(String),
    `inclusion_probability` Float64,
    `chunk_hashes` Array(String)
)
AS SELECT * REPLACE (lower(hex(job_id)) AS job_id, lower(hex(query_hash)) AS query_hash, arrayMap(hash -> lower(hex(hash)), chunk_hashes) AS chunk_hashes)
FROM grading_jobs
FINAL
SETTINGS do_not_merge_across_partitions_select_final = 0

CREATE VIEW v_index_entries
(
    `index` LowCardinality(String),
    `index_version` LowCardinality(String),
    `chunk_id` String,
    `chunk_hash` String,
    `source` LowCardinality(String),
    `deleted` Bool,
    `ts` DateTime64(3, 'UTC')
)
AS SELECT * REPLACE (lower(hex(chunk_hash)) AS chunk_hash)
FROM index_entries
FINAL

CREATE VIEW v_indexes
(
    `index` LowCardinality(String),
    `index_version` LowCardinality(String),
    `ts` DateTime64(3, 'UTC'),
    `complete` Bool,
    `chunks` UInt32,
    `embedding_model` LowCardinality(String),
    `document_fingerprint` LowCardinality(String),
    `prompt` String,
    `max_seq_length` UInt32,
    `extra` String
)
AS SELECT *
FROM indexes
FINAL

CREATE VIEW v_ingest_ledger
(
    `origin` LowCardinality(String),
    `topic` LowCardinality(String),
    `partition` UInt32,
    `start` UInt64,
    `until` UInt64,
    `dead_lettered` Array(UInt64),
    `absent_from` Array(UInt64),
    `absent_until` Array(UInt64),
    `written_off` String,
    `at` DateTime64(3, 'UTC')
)
AS SELECT *
FROM ingest_ledger
FINAL
SETTINGS do_not_merge_across_partitions_select_final = 0

CREATE VIEW v_job_positions
(
    `origin` LowCardinality(String),
    `partition` UInt32,
    `offset` UInt64,
    `job_id` String,
    `role` LowCardinality(String),
    `query_hash` String,
    `chunk_hashes` Array(String)
)
AS SELECT * REPLACE (lower(hex(job_id)) AS job_id, lower(hex(query_hash)) AS query_hash, arrayMap(hash -> lower(hex(hash)), chunk_hashes) AS chunk_hashes)
FROM job_positions
FINAL
SETTINGS do_not_merge_across_partitions_select_final = 0

CREATE VIEW v_labels
(
    `label_id` String,
    `job_id` String,
    `role` LowCardinality(String),
    `source` LowCardinality(String),
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
    `graded_at` DateTime64(3, 'UTC')
)
AS SELECT * REPLACE (lower(hex(label_id)) AS label_id, lower(hex(job_id)) AS job_id, lower(hex(query_hash)) AS query_hash, lower(hex(chunk_hash)) AS chunk_hash)
FROM labels
FINAL
SETTINGS do_not_merge_across_partitions_select_final = 0

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
    `document_fingerprint` LowCardinality(String),
    `ts` DateTime64(3, 'UTC'),
    `extra` String
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
    `extra` String
)
AS SELECT * REPLACE (lower(hex(query_hash)) AS query_hash)
FROM queries
FINAL
SETTINGS do_not_merge_across_partitions_select_final = 0

CREATE VIEW v_reembed_shards
(
    `reembed_id` String,
    `shard_id` String,
    `revision` UInt32,
    `state` LowCardinality(String),
    `chunk_ids` Array(String),
    `chunk_hashes` Array(String),
    `fates` Array(LowCardinality(String)),
    `seconds` Float64,
    `runner` LowCardinality(String),
    `ts` DateTime64(3, 'UTC')
)
AS SELECT * REPLACE (lower(hex(shard_id)) AS shard_id, arrayMap(hash -> lower(hex(hash)), chunk_hashes) AS chunk_hashes)
FROM reembed_shards
FINAL

CREATE VIEW v_reembeds
(
    `reembed_id` String,
    `step` UInt32,
    `state` LowCardinality(String),
    `ts` DateTime64(3, 'UTC'),
    `by` String,
    `reason` String,
    `index` LowCardinality(String),
    `from_version` LowCardinality(String),
    `from_fingerprint` LowCardinality(String),
    `from_physical` String,
    `version` LowCardinality(String),
    `physical` String,
    `store` String,
    `target` String,
    `document_fingerprint` LowCardinality(String),
    `dimension` UInt32,
    `document_prompt` String,
    `query_prompt` String,
    `max_seq_length` UInt32,
    `chunks` UInt64,
    `tokens` UInt64,
    `hours` Float64,
    `uncertainty` Float64,
    `usd_per_hour` Float64,
    `machines` UInt32,
    `findings` String
)
AS SELECT *
FROM reembeds
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
    `model_id` LowCardinality(String),
    `document_fingerprint` LowCardinality(String),
    `index` LowCardinality(String),
    `index_version` LowCardinality(String),
    `k` UInt32,
    `latency_ms` Float32,
    `chunk_ids` Array(String),
    `chunk_hashes` Array(String),
    `ranks` Array(UInt32),
    `scores` Array(Float32),
    `in_context` Array(Bool),
    `extra` String
)
AS SELECT * REPLACE (lower(hex(query_hash)) AS query_hash, arrayMap(hash -> lower(hex(hash)), chunk_hashes) AS chunk_hashes)
FROM retrievals
FINAL
SETTINGS do_not_merge_across_partitions_select_final = 0

CREATE VIEW v_spending
(
    `entry_id` String,
    `kind` LowCardinality(String),
    `worker` String,
    `day` Date,
    `usd` Float64,
    `tokens` UInt64,
    `limit_usd` Float64,
    `limit_tokens` UInt64,
    `ts` DateTime64(3, 'UTC')
)
AS SELECT * REPLACE (lower(hex(entry_id)) AS entry_id)
FROM spending
FINAL

CREATE VIEW v_unfinished_labels
(
    `query_hash` String,
    `label_id` String,
    `role` LowCardinality(String),
    `status` LowCardinality(String),
    `graded_at` DateTime64(3, 'UTC')
)
AS SELECT * REPLACE (lower(hex(query_hash)) AS query_hash, lower(hex(label_id)) AS label_id)
FROM unfinished_labels
FINAL
