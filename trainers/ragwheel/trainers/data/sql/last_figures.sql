SELECT
    metric,
    k,
    segment,
    system,
    value,
    ci_low,
    ci_high,
    queries
FROM v_model_metrics
WHERE event_id = (
    SELECT argMax(event_id, ts)
    FROM v_models
    WHERE action IN ('promoted', 'shadow', 'refused')
)
ORDER BY metric, k, segment, system
