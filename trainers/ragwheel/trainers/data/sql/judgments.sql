-- Along the sorting key, by the stored bytes: the view shows hexadecimal.
SELECT
    lower(hex(query_hash)),
    lower(hex(chunk_hash)),
    status,
    grade,
    grader_id
FROM labels FINAL
WHERE role = 'judge'
    AND query_hash IN (SELECT toFixedString(unhex(arrayJoin({hashes:Array(String)})), 16))
