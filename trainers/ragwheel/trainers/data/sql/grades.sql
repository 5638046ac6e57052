SELECT
    query_hash,
    chunk_hash,
    argMax(grade, (graded_at, label_id)),
    argMax(grader_id, (graded_at, label_id))
FROM v_labels
WHERE role = {role:String} AND status = 'graded'
GROUP BY query_hash, chunk_hash
ORDER BY query_hash, chunk_hash
