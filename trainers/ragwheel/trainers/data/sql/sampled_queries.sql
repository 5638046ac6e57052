-- Of each sampled query, all its searches: a search is a query id, whatever its stages. A search that
-- was drawn has the probability of its job; one that was not has that of its segment's newest job, and
-- 0 where its segment has none, as it cannot have been drawn. Retrievals that intake never draws (no
-- result, the grader's own) are no searches here. Copies of rows do not matter, hence no views.
WITH
    drawn AS
    (
        SELECT DISTINCT query_hash FROM grading_jobs WHERE role = 'label'
        UNION DISTINCT
        -- Jobs expire after 180 days; what was graded of them is kept.
        SELECT DISTINCT query_hash FROM labels WHERE role = 'label'
    ),
    rates AS
    (
        SELECT stratum, argMax(inclusion_probability, ts) AS rate
        FROM grading_jobs
        WHERE role = 'label'
        GROUP BY stratum
    )
SELECT
    lower(hex(query_hash)) AS hash,
    argMax(said.1, (sampled, said.3, query_id)),
    argMax(query_id, (sampled, said.3, query_id)),
    argMax(said.2, (sampled, said.3, query_id)),
    max(if(sampled, said.3, toDateTime64(0, 3, 'UTC'))),
    argMax(said.4, (sampled, said.3, query_id)),
    1 - arrayProduct(groupArray(1 - probability)),
    count(),
    arraySort(arrayMap(chunk -> lower(hex(chunk)), groupUniqArrayArray(chunks))),
    min(began)
FROM
(
    SELECT
        query_hash,
        query_id,
        max(is_drawn) AS sampled,
        if(sampled, maxIf(rate, is_drawn), max(rate)) AS probability,
        argMax((query, segment, ts, stratum), (is_drawn, ts, job_id)) AS said,
        min(ts) AS began,
        groupUniqArrayArray(chunk_hashes) AS chunks
    FROM
    (
        SELECT
            query_hash,
            query_id,
            query,
            segment,
            ts,
            job_id,
            stratum,
            inclusion_probability AS rate,
            true AS is_drawn,
            chunk_hashes
        FROM grading_jobs
        WHERE role = 'label'
        UNION ALL
        SELECT
            query_hash,
            query_id,
            query,
            segment,
            ts,
            job_id,
            stratum,
            inclusion_probability,
            true,
            [chunk_hash]
        FROM labels
        WHERE role = 'label'
        UNION ALL
        SELECT
            query_hash,
            query_id,
            query,
            segment,
            ts,
            toFixedString('', 16),
            segment,
            rates.rate,
            false,
            chunk_hashes
        FROM retrievals
        LEFT JOIN rates ON retrievals.segment = rates.stratum
        WHERE query_hash IN (SELECT query_hash FROM drawn)
            AND notEmpty(chunk_hashes)
            AND NOT startsWith(service, {grader:String})
    )
    GROUP BY
        query_hash,
        query_id
)
GROUP BY query_hash
HAVING max(sampled)
ORDER BY hash
