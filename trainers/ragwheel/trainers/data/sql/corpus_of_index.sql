-- Along the sorting keys, by the stored bytes: the views show hexadecimal.
SELECT
    lower(hex(chunk_hash)) AS hash,
    text
FROM chunks FINAL
WHERE chunk_hash IN (
    SELECT chunk_hash
    FROM index_entries FINAL
    WHERE `index` = {name:String}
        AND index_version = {version:String}
        AND NOT deleted
)
ORDER BY hash
