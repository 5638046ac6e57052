"""The chunks of an index that decoys are drawn from, as ClickHouse has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

#: Chunks of a sample, and all their characters.
_CHUNKS = 512
_CHARS = 4 * 1024 * 1024

#: The same chunks whoever asks, so that a replay draws from what its first run drew from.
_SAMPLE_SQL = """
SELECT
    lower(hex(chunk_hash)),
    text
FROM chunks FINAL
WHERE chunk_hash IN (
    SELECT chunk_hash
    FROM ({known})
    GROUP BY chunk_hash
    ORDER BY sipHash64(chunk_hash)
    LIMIT %(most)s
)
"""
_IN_INDEX_SQL = _SAMPLE_SQL.format(
    known="SELECT chunk_hash FROM index_entries FINAL WHERE `index` = %(index)s AND NOT deleted"
)
#: Of an index whose chunks nobody sends.
_RETRIEVED_SQL = _SAMPLE_SQL.format(
    known="""
        SELECT arrayJoin(chunk_hashes) AS chunk_hash
        FROM (
            SELECT chunk_hashes FROM retrievals
            WHERE `index` = %(index)s ORDER BY ts DESC LIMIT 10000
        )
    """
)


def read_sample(client: Client, index: str) -> dict[str, str]:
    """Up to 512 chunks, hash → text. Raises what the driver raises."""
    found: dict[str, str] = {}
    chars = 0
    for sql in (_IN_INDEX_SQL, _RETRIEVED_SQL):
        parameters = {"index": index, "most": _CHUNKS}
        for chunk_hash, text in client.query(sql, parameters=parameters).result_rows:
            chars += len(text)
            if chars <= _CHARS:
                found[chunk_hash] = text
        if found:
            break
    return found
