"""SQL of re-embeddings. Values are bound; what is put in is our own."""

from __future__ import annotations

from dataclasses import fields

from ragwheel.reembed.states import Reembed

REEMBEDS = f"""
SELECT {", ".join(f"`{each.name}`" for each in fields(Reembed))}
FROM v_reembeds
ORDER BY step DESC
LIMIT 1 BY reembed_id
"""  # noqa: S608 - our own names
_SAID = """
SELECT `index`, index_version, ts, complete, chunks, embedding_model, document_fingerprint, prompt,
    max_seq_length
FROM v_indexes
"""
DECLARED = f"{_SAID} WHERE complete ORDER BY ts DESC LIMIT 1 BY `index`"
DECLARATION = f"{_SAID} WHERE `index` = {{index:String}} AND index_version = {{version:String}}"
VERSIONS = """
SELECT index_version FROM indexes WHERE `index` = {index:String}
UNION DISTINCT
SELECT index_version FROM index_entries WHERE `index` = {index:String}
UNION DISTINCT
SELECT version FROM reembeds WHERE `index` = {index:String}
"""
_ENTRIES = """
    SELECT chunk_id, chunk_hash FROM index_entries FINAL
    WHERE `index` = {index:String} AND index_version = {version:String} AND NOT deleted
"""
_HELD = """
    SELECT pair.1, pair.2
    FROM reembed_shards FINAL
    ARRAY JOIN arrayZip(chunk_ids, chunk_hashes) AS pair
    WHERE reembed_id = {id:String}
"""
#: As `models.encoder.estimated_tokens`.
SIZE = f"""
SELECT count(), uniqExact(chunk_hash),
    sum(least({{longest:UInt32}}, intDiv(lengthUTF8(texts.text), 3) + 2))
FROM ({_ENTRIES}) AS entries
LEFT JOIN (SELECT chunk_hash, text FROM chunks FINAL) AS texts USING (chunk_hash)
"""  # noqa: S608
SAMPLE = f"""
SELECT lower(hex(chunk_hash)), text FROM chunks FINAL
WHERE chunk_hash IN (SELECT chunk_hash FROM ({_ENTRIES}))
ORDER BY cityHash64(chunk_hash, {{seed:UInt32}}), chunk_hash
LIMIT {{count:UInt32}}
"""  # noqa: S608
FRESH = f"""
SELECT chunk_id, lower(hex(chunk_hash)) FROM ({_ENTRIES})
WHERE (chunk_id, chunk_hash) NOT IN ({_HELD})
ORDER BY chunk_hash, chunk_id
LIMIT {{most:UInt32}}
"""  # noqa: S608
STALE = f"""
SELECT lower(hex(shard_id)), pair.1, lower(hex(pair.2))
FROM reembed_shards FINAL
ARRAY JOIN arrayZip(chunk_ids, chunk_hashes) AS pair
WHERE reembed_id = {{id:String}} AND pair NOT IN ({_ENTRIES})
"""  # noqa: S608
LIVE = f"SELECT chunk_id FROM ({_ENTRIES}) WHERE chunk_id IN {{ids:Array(String)}}"  # noqa: S608
SHARD_IDS = """
SELECT shard_id FROM v_reembed_shards
WHERE reembed_id = {id:String} AND state = {state:String}
ORDER BY shard_id
"""
SHARDS = """
SELECT lower(hex(shard_id)) AS id, revision, state, chunk_ids,
    arrayMap(hash -> lower(hex(hash)), chunk_hashes) AS hashes, fates, seconds, runner
FROM reembed_shards FINAL
WHERE reembed_id = {id:String}
    AND shard_id IN (SELECT toFixedString(unhex(arrayJoin({ids:Array(String)})), 16))
ORDER BY shard_id
"""
HELD_IDS = """
SELECT DISTINCT chunk.1
FROM reembed_shards FINAL
ARRAY JOIN arrayZip(chunk_ids, chunk_hashes) AS chunk
WHERE reembed_id = {id:String}
    AND (chunk.1 IN {ids:Array(String)} OR lower(hex(chunk.2)) IN {hashes:Array(String)})
"""
UNFINISHED = """
SELECT shard_id FROM v_reembed_shards
WHERE reembed_id = {id:String} AND state = 'done' AND arrayExists(fate -> fate != 'embedded', fates)
"""
TEXTS = """
SELECT lower(hex(chunk_hash)), text FROM chunks FINAL
WHERE chunk_hash IN (SELECT toFixedString(unhex(arrayJoin({hashes:Array(String)})), 16))
    AND chunk_hash NOT IN (SELECT hash FROM forgotten WHERE kind = 'chunk')
"""
CORPUS = f"SELECT count() FROM ({_ENTRIES})"  # noqa: S608
PROGRESS = """
SELECT sumIf(length(chunk_ids), state = 'waiting'), countIf(notEmpty(chunk_ids)),
    countIf(notEmpty(chunk_ids) AND state = 'done'), sum(seconds)
FROM reembed_shards FINAL
WHERE reembed_id = {id:String}
"""
FATES = """
SELECT fate, count() FROM reembed_shards FINAL ARRAY JOIN fates AS fate
WHERE reembed_id = {id:String} AND state = 'done'
GROUP BY fate
"""
EMBEDDED_SAMPLE = """
SELECT chunk.1, lower(hex(chunk.2))
FROM reembed_shards FINAL
ARRAY JOIN arrayZip(chunk_ids, chunk_hashes, fates) AS chunk
WHERE reembed_id = {id:String} AND state = 'done' AND chunk.3 = 'embedded'
ORDER BY cityHash64(chunk.2, {seed:UInt32}), chunk.1
LIMIT {count:UInt32}
"""
HASHES = f"""
SELECT chunk_id, lower(hex(chunk_hash)) FROM ({_ENTRIES}) WHERE chunk_id IN {{ids:Array(String)}}
"""  # noqa: S608
JUDGED = f"""
SELECT any(asked), groupArray(lower(hex(chunk_hash)))
FROM
(
    SELECT query_hash, chunk_hash, argMax(query, graded_at) AS asked,
        argMax(grade, graded_at) AS newest
    FROM labels FINAL
    WHERE role = 'judge' AND status = 'graded'
        AND query_hash IN (SELECT query_hash FROM gate_queries)
        AND chunk_hash IN (SELECT chunk_hash FROM ({_ENTRIES}))
    GROUP BY query_hash, chunk_hash
    HAVING newest >= 2
)
GROUP BY query_hash
ORDER BY query_hash
LIMIT {{most:UInt32}}
"""  # noqa: S608
COPY = """
INSERT INTO index_entries ({columns})
SELECT `index`, {{new:String}}, chunk_id, chunk_hash, source, deleted, ts
FROM index_entries FINAL
WHERE `index` = {{index:String}} AND index_version = {{version:String}}
    AND chunk_hash NOT IN (SELECT hash FROM forgotten WHERE kind = 'chunk')
    AND (chunk_id, chunk_hash) NOT IN
    (
        SELECT chunk.1, chunk.2
        FROM reembed_shards FINAL
        ARRAY JOIN arrayZip(chunk_ids, chunk_hashes, fates) AS chunk
        WHERE reembed_id = {{id:String}} AND state = 'done' AND chunk.3 != 'embedded'
    )
"""
COUNT = """
SELECT count() FROM v_index_entries
WHERE `index` = {index:String} AND index_version = {version:String}
"""
CAME = """
SELECT count() FROM index_entries FINAL
WHERE `index` = {index:String} AND index_version = {version:String} AND NOT deleted
    AND (chunk_id, chunk_hash) NOT IN
    (
        SELECT chunk_id, chunk_hash FROM index_entries FINAL
        WHERE `index` = {index:String} AND index_version = {other:String} AND NOT deleted
    )
"""
DELETED = """
SELECT chunk_id FROM index_entries FINAL
WHERE `index` = {index:String} AND index_version = {version:String} AND deleted
ORDER BY chunk_id
"""
