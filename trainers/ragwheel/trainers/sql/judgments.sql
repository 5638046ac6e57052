SELECT
    query_hash,
    chunk_hash,
    status,
    grade,
    grader_id
FROM v_labels
WHERE role = 'judge' AND query_hash IN {hashes:Array(String)}
