-- Raw events, labels and accounts. Rules that hold for every table:
--  * identity: the sorting key ends in (or is) the row's deterministic identity, so that a replayed
--    message collapses with its first copy (ReplacingMergeTree); readers use the v_ views (FINAL);
--  * partitions come from the event's own time, never from arrival: a replay must land in the
--    partition of its first copy, because rows of two partitions are never merged;
--  * non_replicated_deduplication_window makes the insert token work on unreplicated engines; it is
--    the cheap first line, the identity is the guarantee.

CREATE TABLE IF NOT EXISTS queries
(
    event_id String,
    query_id String,
    ts DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    service LowCardinality(String),
    segment LowCardinality(String),
    text String CODEC(ZSTD(1)),
    query_hash String,
    user String CODEC(ZSTD(1)),
    session String CODEC(ZSTD(1)),
    attributes String CODEC(ZSTD(1)),
    extra String CODEC(ZSTD(1)),
    kafka_partition UInt32,
    kafka_offset UInt64 CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(ts)
-- Dashboards and training read one segment and a time range.
ORDER BY (segment, ts, event_id)
TTL toDateTime(ts) + INTERVAL 180 DAY
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS retrievals
(
    event_id String,
    query_id String,
    ts DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    service LowCardinality(String),
    segment LowCardinality(String),
    query String CODEC(ZSTD(1)),
    query_hash String,
    stage LowCardinality(String),
    retriever LowCardinality(String),
    embedding_model LowCardinality(String),
    index_version LowCardinality(String),
    k UInt32,
    latency_ms Float32,
    -- Candidates as parallel arrays in rank order: 20-40 times fewer rows than one per candidate.
    chunk_ids Array(String) CODEC(ZSTD(1)),
    chunk_hashes Array(String) CODEC(ZSTD(1)),
    ranks Array(UInt32) CODEC(ZSTD(1)),
    scores Array(Float32) CODEC(ZSTD(1)),
    in_context Array(Bool) CODEC(ZSTD(1)),
    extra String CODEC(ZSTD(1)),
    kafka_partition UInt32,
    kafka_offset UInt64 CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(ts)
ORDER BY (segment, ts, event_id)
TTL toDateTime(ts) + INTERVAL 180 DAY
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS feedback
(
    event_id String,
    query_id String,
    ts DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    service LowCardinality(String),
    segment LowCardinality(String),
    kind LowCardinality(String),
    chunk_id String,
    value Float64,
    extra String CODEC(ZSTD(1)),
    kafka_partition UInt32,
    kafka_offset UInt64 CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(ts)
-- Feedback is joined to retrievals by query.
ORDER BY (query_id, ts, event_id)
TTL toDateTime(ts) + INTERVAL 180 DAY
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS chunks
(
    chunk_hash String,
    text String CODEC(ZSTD(1)),
    ts DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree
-- The text of a chunk once, whoever sends it how often; no partition, because a hash has no time.
ORDER BY chunk_hash
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS index_entries
(
    index_version LowCardinality(String),
    chunk_id String,
    chunk_hash String,
    source LowCardinality(String),
    ts DateTime64(3, 'UTC'),
    kafka_partition UInt32,
    kafka_offset UInt64
)
-- The newest content of a chunk id wins.
ENGINE = ReplacingMergeTree(ts)
ORDER BY (index_version, chunk_id)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS grading_jobs
(
    job_id String,
    role LowCardinality(String),
    query_id String,
    query String CODEC(ZSTD(1)),
    query_hash String,
    segment LowCardinality(String),
    ts DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    stratum LowCardinality(String),
    inclusion_probability Float64,
    chunk_hashes Array(String) CODEC(ZSTD(1)),
    kafka_partition UInt32,
    kafka_offset UInt64 CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(ts)
ORDER BY (segment, ts, job_id)
TTL toDateTime(ts) + INTERVAL 180 DAY
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS labels
(
    label_id String,
    job_id String,
    role LowCardinality(String),
    query_id String,
    query String CODEC(ZSTD(1)),
    query_hash String,
    segment LowCardinality(String),
    chunk_hash String,
    status LowCardinality(String),
    grade Nullable(UInt8),
    expected_grade Nullable(Float32),
    grader_id LowCardinality(String),
    model LowCardinality(String),
    rubric_version LowCardinality(String),
    prompt_hash LowCardinality(String),
    stratum LowCardinality(String),
    inclusion_probability Float64,
    input_tokens UInt32,
    output_tokens UInt32,
    cost_usd Float64,
    latency_ms Float32,
    attempts UInt16,
    reason String CODEC(ZSTD(1)),
    ts DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    graded_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    kafka_partition UInt32,
    kafka_offset UInt64 CODEC(Delta, ZSTD(1)),
    -- Which copy of a label wins: any grade over any failure, then the earliest grade (labels are
    -- immutable), and of failures the latest.
    precedence UInt64 MATERIALIZED if(
        status = 'graded',
        9223372036854775807 - toUnixTimestamp64Milli(graded_at),
        toUnixTimestamp64Milli(graded_at)
    )
)
ENGINE = ReplacingMergeTree(precedence)
-- The grader looks labels up by id before it pays; identity has no time, hence no partition.
ORDER BY label_id
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS models
(
    event_id String,
    model_id String,
    incumbent_id String,
    base_model String,
    kind LowCardinality(String),
    action LowCardinality(String),
    reason String,
    snapshot_id String,
    triplets UInt64,
    labels UInt64,
    seed UInt64,
    uri String,
    ts DateTime64(3, 'UTC'),
    extra String,
    kafka_partition UInt32,
    kafka_offset UInt64
)
ENGINE = ReplacingMergeTree
ORDER BY (ts, event_id)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS model_metrics
(
    event_id String,
    model_id String,
    ts DateTime64(3, 'UTC'),
    metric LowCardinality(String),
    k UInt32,
    segment LowCardinality(String),
    system LowCardinality(String),
    value Float64,
    ci_low Float64,
    ci_high Float64,
    queries UInt32
)
ENGINE = ReplacingMergeTree
ORDER BY (event_id, metric, k, segment, system)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS dead_letters
(
    dead_letter_id String,
    topic LowCardinality(String),
    partition UInt32,
    offset UInt64,
    key Nullable(String),
    payload Nullable(String) CODEC(ZSTD(1)),
    reason LowCardinality(String),
    detail String CODEC(ZSTD(1)),
    ts DateTime64(3, 'UTC'),
    kafka_partition UInt32,
    kafka_offset UInt64
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(ts)
ORDER BY (topic, reason, ts, dead_letter_id)
TTL toDateTime(ts) + INTERVAL 30 DAY
SETTINGS non_replicated_deduplication_window = 1000;

-- What became of which offsets: intake writes one row per partition and batch after the rows are in
-- and before the offsets are committed. Offsets that no row covers are unaccounted for.
CREATE TABLE IF NOT EXISTS ingest_ledger
(
    topic LowCardinality(String),
    partition UInt32,
    first_offset UInt64,
    last_offset UInt64,
    landed UInt64,
    dead_lettered UInt64,
    at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree
ORDER BY (topic, partition, first_offset, last_offset)
TTL toDateTime(at) + INTERVAL 30 DAY
SETTINGS non_replicated_deduplication_window = 1000;

CREATE VIEW IF NOT EXISTS v_queries AS SELECT * FROM queries FINAL;
CREATE VIEW IF NOT EXISTS v_retrievals AS SELECT * FROM retrievals FINAL;
CREATE VIEW IF NOT EXISTS v_feedback AS SELECT * FROM feedback FINAL;
CREATE VIEW IF NOT EXISTS v_chunks AS SELECT * FROM chunks FINAL;
CREATE VIEW IF NOT EXISTS v_index_entries AS SELECT * FROM index_entries FINAL;
CREATE VIEW IF NOT EXISTS v_grading_jobs AS SELECT * FROM grading_jobs FINAL;
CREATE VIEW IF NOT EXISTS v_labels AS SELECT * FROM labels FINAL;
CREATE VIEW IF NOT EXISTS v_models AS SELECT * FROM models FINAL;
CREATE VIEW IF NOT EXISTS v_model_metrics AS SELECT * FROM model_metrics FINAL;
CREATE VIEW IF NOT EXISTS v_dead_letters AS SELECT * FROM dead_letters FINAL;
CREATE VIEW IF NOT EXISTS v_ingest_ledger AS SELECT * FROM ingest_ledger FINAL;
