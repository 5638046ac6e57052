SELECT
    chunk_hash,
    text
FROM v_chunks
WHERE chunk_hash IN (
    SELECT chunk_hash
    FROM v_index_entries
    WHERE index_version = {version:String}
)
ORDER BY chunk_hash
