-- Raw events, labels and accounts. Rules that hold for every table:
--  * identity: the sorting key is what makes two rows one (`schemas/tables.py` says it, a test
--    compares), and nothing else, so that a row which comes again, at another time, under another
--    segment, from a topic that was made again, replaces its first copy;
--  * partitions are months of the event's own time, for retention: whole parts are dropped. Copies
--    of a row may lie in two of them; the v_ views merge across partitions when they are read, and
--    that costs little, because ids that carry their time (UUIDv7) do not overlap between parts;
--  * retention counts from landing, so that an old file which is emitted today is kept as well;
--  * hashes are stored as their 16 bytes and shown by the views in hexadecimal;
--  * non_replicated_deduplication_window lets the server drop a block that it just took, as
--    replicated engines do; it is the cheap first line, the identity is the guarantee.

CREATE TABLE IF NOT EXISTS queries
(
    event_id String,
    query_id String,
    ts DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    service LowCardinality(String),
    segment LowCardinality(String),
    text String CODEC(ZSTD(1)),
    query_hash FixedString(16),
    user String CODEC(ZSTD(1)),
    session String CODEC(ZSTD(1)),
    attributes String CODEC(ZSTD(1)),
    extra String CODEC(ZSTD(1)),
    landed_at DateTime('UTC') MATERIALIZED now('UTC') CODEC(Delta, ZSTD(1)),
    INDEX times ts TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(ts)
-- Events are joined, shown and forgotten by their query.
ORDER BY (query_id, event_id)
TTL landed_at + INTERVAL 180 DAY
SETTINGS non_replicated_deduplication_window = 1000, ttl_only_drop_parts = 1;

CREATE TABLE IF NOT EXISTS retrievals
(
    event_id String,
    query_id String,
    ts DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    service LowCardinality(String),
    segment LowCardinality(String),
    query String CODEC(ZSTD(1)),
    query_hash FixedString(16),
    stage LowCardinality(String),
    retriever LowCardinality(String),
    embedding_model LowCardinality(String),
    model_id LowCardinality(String),
    document_fingerprint LowCardinality(String),
    `index` LowCardinality(String),
    index_version LowCardinality(String),
    k UInt32,
    latency_ms Float32,
    -- Candidates as parallel arrays in rank order: 20-40 times fewer rows than one per candidate.
    chunk_ids Array(String) CODEC(ZSTD(1)),
    chunk_hashes Array(FixedString(16)) CODEC(ZSTD(1)),
    ranks Array(UInt32) CODEC(ZSTD(1)),
    scores Array(Float32) CODEC(ZSTD(1)),
    in_context Array(Bool) CODEC(ZSTD(1)),
    extra String CODEC(ZSTD(1)),
    landed_at DateTime('UTC') MATERIALIZED now('UTC') CODEC(Delta, ZSTD(1)),
    INDEX times ts TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(ts)
ORDER BY (query_id, event_id)
TTL landed_at + INTERVAL 180 DAY
SETTINGS non_replicated_deduplication_window = 1000, ttl_only_drop_parts = 1;

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
    landed_at DateTime('UTC') MATERIALIZED now('UTC') CODEC(Delta, ZSTD(1)),
    INDEX times ts TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(ts)
ORDER BY (query_id, event_id)
TTL landed_at + INTERVAL 180 DAY
SETTINGS non_replicated_deduplication_window = 1000, ttl_only_drop_parts = 1;

CREATE TABLE IF NOT EXISTS chunks
(
    chunk_hash FixedString(16),
    text String CODEC(ZSTD(1)),
    ts DateTime64(3, 'UTC'),
    landed_at DateTime('UTC') MATERIALIZED now('UTC') CODEC(Delta, ZSTD(1))
)
-- The text of a chunk once, whoever sends it how often. No partition: a hash has no time, and a
-- copy in each month would store the corpus again and again; expiry rewrites parts, rarely.
ENGINE = ReplacingMergeTree(ts)
ORDER BY chunk_hash
TTL landed_at + INTERVAL 730 DAY
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS index_entries
(
    `index` LowCardinality(String),
    index_version LowCardinality(String),
    chunk_id String,
    chunk_hash FixedString(16),
    source LowCardinality(String),
    -- The chunk is in the index no more. The row stays: a build is complete when as many chunks have
    -- come as it declares, whatever became of them since.
    deleted Bool,
    ts DateTime64(3, 'UTC')
)
-- The newest content of a chunk id wins.
ENGINE = ReplacingMergeTree(ts)
ORDER BY (`index`, index_version, chunk_id)
SETTINGS non_replicated_deduplication_window = 1000;

-- What was said of each build of each index.
CREATE TABLE IF NOT EXISTS indexes
(
    `index` LowCardinality(String),
    index_version LowCardinality(String),
    ts DateTime64(3, 'UTC'),
    complete Bool,
    chunks UInt32,
    embedding_model LowCardinality(String),
    document_fingerprint LowCardinality(String),
    prompt String,
    max_seq_length UInt32,
    extra String
)
ENGINE = ReplacingMergeTree(ts)
ORDER BY (`index`, index_version)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS grading_jobs
(
    job_id FixedString(16),
    role LowCardinality(String),
    query_id String,
    query String CODEC(ZSTD(1)),
    query_hash FixedString(16),
    segment LowCardinality(String),
    `index` LowCardinality(String),
    ts DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    stratum LowCardinality(String),
    inclusion_probability Float64,
    chunk_hashes Array(FixedString(16)) CODEC(ZSTD(1)),
    landed_at DateTime('UTC') MATERIALIZED now('UTC') CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(ts)
ORDER BY job_id
TTL landed_at + INTERVAL 180 DAY
SETTINGS non_replicated_deduplication_window = 1000, ttl_only_drop_parts = 1;

-- Where each job stood in its topic: what the accounts compare with the labels, in the order in
-- which the grader acknowledges. Expires with the topic's messages and a margin.
CREATE TABLE IF NOT EXISTS job_positions
(
    origin LowCardinality(String),
    partition UInt32,
    offset UInt64,
    job_id FixedString(16),
    role LowCardinality(String),
    query_hash FixedString(16),
    chunk_hashes Array(FixedString(16)) CODEC(ZSTD(1)),
    landed_at DateTime('UTC') MATERIALIZED now('UTC') CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(landed_at)
ORDER BY (origin, partition, offset)
TTL landed_at + INTERVAL 30 DAY
SETTINGS non_replicated_deduplication_window = 1000, ttl_only_drop_parts = 1,
    index_granularity = 256;

CREATE TABLE IF NOT EXISTS labels
(
    label_id FixedString(16),
    job_id FixedString(16),
    role LowCardinality(String),
    source LowCardinality(String),
    query_id String,
    query String CODEC(ZSTD(1)),
    query_hash FixedString(16),
    segment LowCardinality(String),
    chunk_hash FixedString(16),
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
    -- Which copy of a label wins: any grade over any failure, then the earliest grade (labels are
    -- immutable), and of failures the latest.
    precedence UInt64 MATERIALIZED if(
        status = 'graded',
        9223372036854775807 - toUnixTimestamp64Milli(graded_at),
        toUnixTimestamp64Milli(graded_at)
    ),
    landed_at DateTime('UTC') MATERIALIZED now('UTC') CODEC(Delta, ZSTD(1)),
    INDEX graded graded_at TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree(precedence)
PARTITION BY toYYYYMM(ts)
-- The grader asks for the labels of one query before it pays, trainers read query by query; a
-- label_id is made of its query_hash, so the two say no more than the label_id alone.
ORDER BY (query_hash, label_id)
TTL landed_at + INTERVAL 730 DAY
SETTINGS non_replicated_deduplication_window = 1000, ttl_only_drop_parts = 1,
    index_granularity = 1024;

-- Labels that landed without a grade: work that is not finished. A later grade does not take its
-- row away; readers look whether there is one.
CREATE TABLE IF NOT EXISTS unfinished_labels
(
    query_hash FixedString(16),
    label_id FixedString(16),
    role LowCardinality(String),
    status LowCardinality(String),
    graded_at DateTime64(3, 'UTC'),
    landed_at DateTime('UTC') MATERIALIZED now('UTC') CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(graded_at)
ORDER BY (query_hash, label_id)
TTL landed_at + INTERVAL 180 DAY
SETTINGS non_replicated_deduplication_window = 1000;

-- No text: who might spend how much of which day, for bills and for looking back.
CREATE TABLE IF NOT EXISTS spending
(
    entry_id FixedString(16),
    kind LowCardinality(String),
    worker String,
    day Date,
    usd Float64,
    tokens UInt64,
    limit_usd Float64,
    limit_tokens UInt64,
    ts DateTime64(3, 'UTC'),
    landed_at DateTime('UTC') MATERIALIZED now('UTC') CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree
ORDER BY entry_id
TTL landed_at + INTERVAL 730 DAY
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
    document_fingerprint LowCardinality(String),
    ts DateTime64(3, 'UTC'),
    extra String
)
ENGINE = ReplacingMergeTree
ORDER BY event_id
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

-- Which held-out queries a verdict looked at.
CREATE TABLE IF NOT EXISTS gate_queries
(
    event_id String,
    query_hash FixedString(16),
    ts DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree
ORDER BY (event_id, query_hash)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS dead_letters
(
    dead_letter_id FixedString(16),
    topic LowCardinality(String),
    partition UInt32,
    offset UInt64,
    key Nullable(String),
    payload Nullable(String) CODEC(ZSTD(1)),
    reason LowCardinality(String),
    detail String CODEC(ZSTD(1)),
    ts DateTime64(3, 'UTC'),
    landed_at DateTime('UTC') MATERIALIZED now('UTC') CODEC(Delta, ZSTD(1)),
    INDEX times ts TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(ts)
ORDER BY dead_letter_id
TTL landed_at + INTERVAL 30 DAY
SETTINGS non_replicated_deduplication_window = 1000, ttl_only_drop_parts = 1;

-- What became of which offsets: intake writes one row per partition and batch after the rows are in
-- and before the offsets are committed. `start` is where it stood before the batch and `until` where
-- it stood after; offsets between that Kafka never handed out (markers of transactions, compacted
-- keys) are listed as absent. Offsets that no row covers are unaccounted for.
CREATE TABLE IF NOT EXISTS ingest_ledger
(
    -- The incarnation of the topic: its id on the broker.
    origin LowCardinality(String),
    topic LowCardinality(String),
    partition UInt32,
    start UInt64,
    until UInt64,
    dead_lettered Array(UInt64),
    absent_from Array(UInt64),
    absent_until Array(UInt64),
    -- Why somebody declared what nobody read here as lost; empty: it was read.
    written_off String,
    at DateTime64(3, 'UTC'),
    landed_at DateTime('UTC') MATERIALIZED now('UTC') CODEC(Delta, ZSTD(1)),
    -- Within a partition offsets and time grow together, so most granules of a day are passed over.
    INDEX landed landed_at TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree
-- The accounts read what landed lately behind the last offset that they know: days of history are
-- never looked at.
PARTITION BY toYYYYMMDD(landed_at)
ORDER BY (origin, partition, until, start)
TTL landed_at + INTERVAL 30 DAY
SETTINGS non_replicated_deduplication_window = 1000, ttl_only_drop_parts = 1,
    index_granularity = 1024;

-- What the accounts have seen so far, so that neither the ledger's nor Kafka's retention matters.
CREATE TABLE IF NOT EXISTS accounts_state
(
    name String,
    state String CODEC(ZSTD(1)),
    at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(at)
ORDER BY name
SETTINGS non_replicated_deduplication_window = 1000;

-- How re-embeddings went: a row per change of state, of which that of the most steps says how it
-- stands. Few rows, and what was cut over months ago must still be rolled back: kept for good.
CREATE TABLE IF NOT EXISTS reembeds
(
    reembed_id String,
    step UInt32,
    state LowCardinality(String),
    ts DateTime64(3, 'UTC'),
    by String,
    reason String,
    `index` LowCardinality(String),
    from_version LowCardinality(String),
    from_fingerprint LowCardinality(String),
    from_physical String,
    version LowCardinality(String),
    physical String,
    store String,
    target String,
    document_fingerprint LowCardinality(String),
    dimension UInt32,
    document_prompt String,
    query_prompt String,
    max_seq_length UInt32,
    -- What the plan foresaw: chunks and their tokens, hours in all, how far off they may be (a
    -- share), and what an hour of one of how many machines costs.
    chunks UInt64,
    tokens UInt64,
    hours Float64,
    uncertainty Float64,
    usd_per_hour Float64,
    machines UInt32,
    -- What the last verification found, as JSON.
    findings String
)
ENGINE = ReplacingMergeTree(ts)
ORDER BY (reembed_id, step)
SETTINGS non_replicated_deduplication_window = 1000;

-- The chunks of a re-embedding in shards, and what became of each. Expires with the texts.
CREATE TABLE IF NOT EXISTS reembed_shards
(
    reembed_id String,
    shard_id FixedString(16),
    -- Counts what was written of a shard; clocks of several machines do not decide what is newest.
    revision UInt32,
    state LowCardinality(String),
    -- Parallel arrays. The fate of a chunk: embedded, or `failed: why`, or `skipped: why`; of a shard
    -- that waits, empty.
    chunk_ids Array(String) CODEC(ZSTD(1)),
    chunk_hashes Array(FixedString(16)) CODEC(ZSTD(1)),
    fates Array(LowCardinality(String)),
    seconds Float64,
    runner LowCardinality(String),
    ts DateTime64(3, 'UTC'),
    landed_at DateTime('UTC') MATERIALIZED now('UTC') CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(revision)
ORDER BY (reembed_id, shard_id)
TTL landed_at + INTERVAL 730 DAY
SETTINGS non_replicated_deduplication_window = 1000, index_granularity = 64;

-- Tombstones: what was forgotten, by hash, so that nothing that is read again brings it back. For
-- good: a file may be sent again in years.
CREATE TABLE IF NOT EXISTS forgotten
(
    kind LowCardinality(String),
    hash FixedString(16),
    at DateTime64(3, 'UTC'),
    -- Readers ask for what is new.
    landed_at DateTime('UTC') MATERIALIZED now('UTC') CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(at)
ORDER BY (kind, hash)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE VIEW IF NOT EXISTS v_queries AS
SELECT * REPLACE (lower(hex(query_hash)) AS query_hash)
FROM queries FINAL
SETTINGS do_not_merge_across_partitions_select_final = 0;

CREATE VIEW IF NOT EXISTS v_retrievals AS
SELECT * REPLACE (
    lower(hex(query_hash)) AS query_hash,
    arrayMap(hash -> lower(hex(hash)), chunk_hashes) AS chunk_hashes
)
FROM retrievals FINAL
SETTINGS do_not_merge_across_partitions_select_final = 0;

CREATE VIEW IF NOT EXISTS v_feedback AS
SELECT * FROM feedback FINAL
SETTINGS do_not_merge_across_partitions_select_final = 0;

CREATE VIEW IF NOT EXISTS v_chunks AS
SELECT * REPLACE (lower(hex(chunk_hash)) AS chunk_hash)
FROM chunks FINAL;

CREATE VIEW IF NOT EXISTS v_index_entries AS
SELECT * REPLACE (lower(hex(chunk_hash)) AS chunk_hash)
FROM index_entries FINAL;

CREATE VIEW IF NOT EXISTS v_indexes AS SELECT * FROM indexes FINAL;

CREATE VIEW IF NOT EXISTS v_grading_jobs AS
SELECT * REPLACE (
    lower(hex(job_id)) AS job_id,
    lower(hex(query_hash)) AS query_hash,
    arrayMap(hash -> lower(hex(hash)), chunk_hashes) AS chunk_hashes
)
FROM grading_jobs FINAL
SETTINGS do_not_merge_across_partitions_select_final = 0;

CREATE VIEW IF NOT EXISTS v_job_positions AS
SELECT * REPLACE (
    lower(hex(job_id)) AS job_id,
    lower(hex(query_hash)) AS query_hash,
    arrayMap(hash -> lower(hex(hash)), chunk_hashes) AS chunk_hashes
)
FROM job_positions FINAL
SETTINGS do_not_merge_across_partitions_select_final = 0;

CREATE VIEW IF NOT EXISTS v_labels AS
SELECT * REPLACE (
    lower(hex(label_id)) AS label_id,
    lower(hex(job_id)) AS job_id,
    lower(hex(query_hash)) AS query_hash,
    lower(hex(chunk_hash)) AS chunk_hash
)
FROM labels FINAL
SETTINGS do_not_merge_across_partitions_select_final = 0;

CREATE VIEW IF NOT EXISTS v_unfinished_labels AS
SELECT * REPLACE (lower(hex(query_hash)) AS query_hash, lower(hex(label_id)) AS label_id)
FROM unfinished_labels FINAL;

CREATE VIEW IF NOT EXISTS v_spending AS
SELECT * REPLACE (lower(hex(entry_id)) AS entry_id)
FROM spending FINAL;

CREATE VIEW IF NOT EXISTS v_models AS SELECT * FROM models FINAL;

CREATE VIEW IF NOT EXISTS v_model_metrics AS SELECT * FROM model_metrics FINAL;

CREATE VIEW IF NOT EXISTS v_gate_queries AS
SELECT * REPLACE (lower(hex(query_hash)) AS query_hash)
FROM gate_queries FINAL;

CREATE VIEW IF NOT EXISTS v_dead_letters AS
SELECT * REPLACE (lower(hex(dead_letter_id)) AS dead_letter_id)
FROM dead_letters FINAL
SETTINGS do_not_merge_across_partitions_select_final = 0;

CREATE VIEW IF NOT EXISTS v_ingest_ledger AS
SELECT * FROM ingest_ledger FINAL
SETTINGS do_not_merge_across_partitions_select_final = 0;

CREATE VIEW IF NOT EXISTS v_accounts_state AS SELECT * FROM accounts_state FINAL;

CREATE VIEW IF NOT EXISTS v_forgotten AS
SELECT * REPLACE (lower(hex(hash)) AS hash)
FROM forgotten FINAL;

CREATE VIEW IF NOT EXISTS v_reembeds AS SELECT * FROM reembeds FINAL;

CREATE VIEW IF NOT EXISTS v_reembed_shards AS
SELECT * REPLACE (
    lower(hex(shard_id)) AS shard_id,
    arrayMap(hash -> lower(hex(hash)), chunk_hashes) AS chunk_hashes
)
FROM reembed_shards FINAL;
