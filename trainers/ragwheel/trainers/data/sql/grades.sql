-- Hashes repeat: as a dictionary each is sent and kept once.
SELECT
    toLowCardinality(query_hash),
    toLowCardinality(chunk_hash),
    grade,
    role,
    grader_id,
    rubric_version,
    source,
    graded_at
FROM v_labels
WHERE status = 'graded' AND has({roles:Array(String)}, role)
ORDER BY
    query_hash,
    chunk_hash,
    graded_at,
    label_id
