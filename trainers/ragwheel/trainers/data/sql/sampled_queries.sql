SELECT
    query_hash,
    argMax(query, (ts, job_id)),
    argMax(query_id, (ts, job_id)),
    argMax(segment, (ts, job_id)),
    max(ts),
    argMax(stratum, (ts, job_id)),
    argMax(inclusion_probability, (ts, job_id)),
    arraySort(groupUniqArrayArray(chunk_hashes))
FROM
(
    SELECT
        query_hash,
        query,
        query_id,
        segment,
        ts,
        job_id,
        stratum,
        inclusion_probability,
        chunk_hashes
    FROM v_grading_jobs
    WHERE role = 'label'
    UNION ALL
    -- Jobs expire after 180 days; what was graded of them is kept.
    SELECT
        query_hash,
        query,
        query_id,
        segment,
        ts,
        job_id,
        stratum,
        inclusion_probability,
        [chunk_hash] AS chunk_hashes
    FROM v_labels
    WHERE role = 'label'
)
GROUP BY query_hash
ORDER BY query_hash
