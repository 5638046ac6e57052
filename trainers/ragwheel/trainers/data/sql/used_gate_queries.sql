SELECT
    query_hash,
    count()
FROM v_gate_queries
GROUP BY query_hash
