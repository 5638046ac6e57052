-- Of an index whose chunks nobody sends: what was ever retrieved from it.
SELECT
    lower(hex(chunk_hash)) AS hash,
    text
FROM chunks FINAL
WHERE chunk_hash IN (
    SELECT arrayJoin(chunk_hashes)
    FROM retrievals
    WHERE `index` = {name:String}
)
ORDER BY hash
