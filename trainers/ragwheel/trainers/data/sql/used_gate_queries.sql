-- Oldest first. A verdict and its queries come in one message.
SELECT
    event_id,
    any(action),
    any(models.ts) AS decided_at,
    groupUniqArray(query_hash)
FROM v_gate_queries AS used
JOIN v_models AS models USING (event_id)
GROUP BY event_id
ORDER BY
    decided_at,
    event_id
