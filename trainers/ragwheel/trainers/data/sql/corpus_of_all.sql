SELECT
    chunk_hash,
    text
FROM v_chunks
ORDER BY chunk_hash
