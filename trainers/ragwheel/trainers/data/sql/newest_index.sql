SELECT argMax(index_version, ts)
FROM v_index_entries
HAVING count() > 0
