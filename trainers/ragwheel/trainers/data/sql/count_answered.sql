SELECT uniqExact(query_hash)
FROM v_labels
WHERE role = 'label' AND status = 'graded' AND grade >= {relevant:UInt8}
