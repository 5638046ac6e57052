-- Of sampled queries alone: nobody compares the others.
SELECT
    lower(hex(query_hash)) AS hash,
    newest.1,
    stage,
    newest.2,
    newest.3,
    newest.4,
    arrayMap(chunk -> lower(hex(chunk)), newest.5),
    newest.6,
    newest.7,
    newest.8
FROM
(
    SELECT
        query_hash,
        stage,
        argMax(
            (
                segment, `index`, index_version, embedding_model, chunk_hashes, scores, ts, model_id
            ),
            (ts, event_id)
        ) AS newest
    FROM retrievals
    WHERE query_hash IN (SELECT query_hash FROM grading_jobs WHERE role = 'label')
        AND NOT startsWith(service, {grader:String})
    GROUP BY
        query_hash,
        stage
)
ORDER BY
    hash,
    stage
