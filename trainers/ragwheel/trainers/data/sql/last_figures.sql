-- The newest gate that measured something: a refusal without a judge, or a shadow that is let go,
-- says nothing about quality.
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
        AND event_id IN (SELECT event_id FROM v_model_metrics)
)
ORDER BY metric, k, segment, system
