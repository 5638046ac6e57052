SELECT
    `index`,
    index_version,
    ts,
    complete,
    chunks,
    embedding_model,
    document_fingerprint,
    prompt,
    max_seq_length
FROM v_indexes
