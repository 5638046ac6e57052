-- Chunks of sampled queries that an answer cited or a user clicked, as the search returned them: the
-- id of a chunk means the text that it had then.
SELECT DISTINCT
    lower(hex(query_hash)) AS hash,
    lower(hex(returned.2)) AS chunk_hash
FROM
(
    SELECT
        query_id,
        query_hash,
        arrayJoin(arrayZip(chunk_ids, chunk_hashes)) AS returned,
        returned.1 AS chunk_id
    FROM retrievals
    WHERE query_hash IN (SELECT query_hash FROM grading_jobs WHERE role = 'label')
        AND NOT startsWith(service, {grader:String})
) AS searches
INNER JOIN
(
    SELECT DISTINCT query_id, chunk_id
    FROM feedback
    WHERE kind IN ('cited', 'clicked') AND value > 0
) AS chosen USING (query_id, chunk_id)
ORDER BY
    hash,
    chunk_hash
