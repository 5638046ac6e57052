-- Of the newest retrievals of each segment. A single one could be that of a trial on a share of the
-- traffic; too many would keep an old index for long. Copies do not matter, hence no view.
SELECT
    segment,
    `index`,
    index_version,
    count(),
    max(ts)
FROM
(
    SELECT
        segment,
        `index`,
        index_version,
        ts
    FROM retrievals
    ORDER BY ts DESC
    LIMIT {newest:UInt32} BY segment
)
GROUP BY
    segment,
    `index`,
    index_version
