-- What `ragwheel migrate` notes about each file and run; rows are only added. A run is waiting,
-- has begun (a row before each statement), is done, or has stopped short of it.
CREATE TABLE IF NOT EXISTS schema_migrations
(
    version UInt32,
    name String,
    checksum String,
    run_id String,
    runner String,
    state LowCardinality(String),
    -- How many of the file's statements this run has finished.
    statements UInt32,
    at DateTime64(6, 'UTC')
)
ENGINE = MergeTree
ORDER BY (version, run_id, at);
