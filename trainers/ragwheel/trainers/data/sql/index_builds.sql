SELECT
    `index`,
    index_version,
    count(),
    max(ts)
FROM v_index_entries
GROUP BY
    `index`,
    index_version
