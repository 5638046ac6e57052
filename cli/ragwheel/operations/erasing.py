"""Which rows belong to what is forgotten, and taking them away. Everything can run again.

Statements name hashes alone (`tombstone_sql`): what deletes and updates say stays on ClickHouse's
disk for a while. Where rows hold what belongs to others too, the part that goes is cut out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC
from typing import TYPE_CHECKING, Any, NamedTuple

from ragwheel.schemas.events import DeadLetter
from ragwheel.schemas.tables import INDEX_ENTRIES, LABELS
from ragwheel.schemas.tombstones import (
    Tombstones,
    literals,
    parses,
    said_in,
    tombstone_hash,
    tombstone_sql,
)

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

#: Names in one statement: 200 kB of SQL, of the 256 kB that ClickHouse reads.
_MOST = 4_000
#: Return when every replica has done it; rows that go over to another job keep their age.
_SETTINGS = {
    "lightweight_deletes_sync": 2,
    "mutations_sync": 2,
    "insert_allow_materialized_columns": 1,
}
_SEPARATORS = b" \t\r\n\"',:;{}[]()<>=&|\\"
_TO_BLANKS = bytes.maketrans(_SEPARATORS, b" " * len(_SEPARATORS))

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Marked:
    """What is forgotten, by the hashes of `tombstones.tombstone_hash`.

    Attributes:
        queries: searches.
        chunks: texts, by content hash.
        chunk_ids: ids under which they stood.
        names: the same searches and ids in clear, for bytes that no longer parse.
    """

    queries: frozenset[bytes] = frozenset()
    chunks: frozenset[bytes] = frozenset()
    chunk_ids: frozenset[bytes] = frozenset()
    names: frozenset[bytes] = frozenset()


class Removal(NamedTuple):
    """Rows of one table that go (`DELETE`), or of which a part goes.

    Attributes:
        rows: what is counted: a table with a condition, or a query.
    """

    table: str
    rows: str
    statement: str


@dataclass
class Erased:
    """How many rows as they are stored, copies included.

    Attributes:
        deleted, changed: by table.
    """

    deleted: Counter[str] = field(default_factory=Counter)
    changed: Counter[str] = field(default_factory=Counter)


def erase(client: Client, steps: Iterable[Removal], *, dry_run: bool, tell: Tell) -> Erased:
    """Count what each step is about and, unless `dry_run`, do it; waits until all replicas have.

    Raises:
        ClickHouseError: also when a step takes longer than the driver waits; run it again then.
    """
    done = Erased()
    for table, rows, statement in steps:
        count = int(str(client.command(f"SELECT count() FROM {rows}")))  # noqa: S608 - hashes
        if not count:
            continue
        deletes = statement.startswith("DELETE")
        (done.deleted if deletes else done.changed)[table] += count
        if not dry_run:
            tell(f"{table}: {count:,} rows {'go' if deletes else 'are changed'}")
            client.command(statement, settings=_SETTINGS)
    return done


def purge(client: Client, tables: Iterable[str], tell: Tell) -> None:
    """Write the parts anew that hold deleted rows; ClickHouse drops the old ones after minutes."""
    for table in tables:
        tell(f"{table}: deleted rows leave its parts")
        client.command(f"ALTER TABLE {table} APPLY DELETED MASK", settings=_SETTINGS)


def steps_for(client: Client, marked: Marked, letters: Sequence[DeadLetter]) -> Iterator[Removal]:
    """What has to go, in an order that never shows a job without its labels as lost."""
    # Without its letter a job of which only a chunk is forgotten would count as lost.
    places = [f"({each.partition}, {each.offset})" for each in letters if each.topic == "grading"]
    for some in _batches(places):
        yield _delete("job_positions", f"(partition, offset) IN ({', '.join(some)})")
    letter_ids = [tombstone_hash("letter", each.dead_letter_id) for each in letters]
    for some in _batches(letter_ids):
        yield _delete("dead_letters", f"dead_letter_id IN {literals(some)}")
    for some in _batches(sorted(marked.queries)):
        yield from _of_queries(client, f"{tombstone_sql('query', 'query_id')} IN {literals(some)}")
    for some in _batches(sorted(marked.chunks)):
        yield from _of_chunks(client, literals(some))
    for some in _batches(sorted(marked.chunk_ids)):
        yield from _of_chunk_ids(literals(some))


def letters_of(
    client: Client, tombstones: Tombstones, names: frozenset[bytes]
) -> Iterator[DeadLetter]:
    """Dead letters that tombstones cover, or, where they do not parse, that say one of `names`."""
    sql = "SELECT dead_letter_id, topic, partition, offset, key, payload, ts FROM v_dead_letters"
    formats: dict[str, Any] = {"key": "bytes", "payload": "bytes"}
    with client.query_rows_stream(sql, column_formats=formats) as rows:
        for dead_letter_id, topic, partition, offset, key, payload, ts in rows:
            letter = DeadLetter(
                dead_letter_id=dead_letter_id, topic=topic, partition=partition, offset=offset,
                key=key, payload=payload, reason="processing_failed", detail="",
                ts=ts.replace(tzinfo=UTC),
            )  # fmt: skip
            if tombstones.covers(letter) or _says(letter, names):
                yield letter


def query_ids_in(letters: Iterable[DeadLetter]) -> set[str]:
    """Searches that dead letters tell of."""
    return {
        value
        for letter in letters
        for field_name, value in said_in(letter.payload or b"")
        if field_name == "query_id"
    }


def _says(letter: DeadLetter, names: frozenset[bytes]) -> bool:
    """Whether one of `names` stands in bytes that are no JSON, as a word of its own."""
    payload = letter.payload or b""
    return not parses(payload) and not names.isdisjoint(payload.translate(_TO_BLANKS).split())


def _delete(table: str, where: str) -> Removal:
    rows = f"{table} WHERE {where}"
    return Removal(table, rows, f"DELETE FROM {rows}")  # noqa: S608 - hashes


def _update(table: str, where: str, assign: str) -> Removal:
    statement = f"ALTER TABLE {table} UPDATE {assign} WHERE {where}"
    return Removal(table, f"{table} WHERE {where}", statement)


def _of_queries(client: Client, mine: str) -> Iterator[Removal]:
    jobs = _hashes(client, f"SELECT DISTINCT job_id FROM grading_jobs WHERE {mine}")  # noqa: S608
    for some in _batches(jobs):
        yield _delete("job_positions", f"job_id IN {literals(some)}")
    for table in ("queries", "retrievals", "feedback"):
        yield _delete(table, mine)
    alone = _hashes(client, _ALONE.format(mine=mine))
    to_others = _TO_OTHERS.format(mine=mine, shared=", ".join(map(_of_the_other, LABELS.columns)))
    columns = ", ".join([*LABELS.columns, "landed_at"])
    yield Removal("labels", f"({to_others})", f"INSERT INTO labels ({columns}) {to_others}")
    yield _delete("labels", mine)
    for some in _batches(alone):
        yield _delete("unfinished_labels", f"label_id IN {literals(some)}")
    # Last: while a position stands, its job says whose it is.
    for some in _batches(jobs):
        yield _delete("grading_jobs", f"job_id IN {literals(some)}")


def _of_the_other(column: str) -> str:
    return f"{'other' if column in _OF_THE_JOB else 'ours'}.{column} AS {column}"


#: What a label has from the job that it was made for.
_OF_THE_JOB = ("job_id", "query_id", "query", "stratum", "inclusion_probability")
#: A label is stored once for all that asked for it, under the first job: where another job asks for
#: the same pair, it goes over to that one. The row has the same identity and replaces ours.
_TO_OTHERS = """
SELECT {shared}, ours.landed_at AS landed_at
FROM
(
    SELECT *, landed_at FROM labels FINAL
    WHERE query_hash IN (SELECT query_hash FROM labels WHERE {mine}) AND {mine}
    SETTINGS do_not_merge_across_partitions_select_final = 0
) AS ours
JOIN
(
    SELECT * FROM grading_jobs
    WHERE query_hash IN (SELECT query_hash FROM labels WHERE {mine}) AND NOT ({mine})
) AS other ON ours.query_hash = other.query_hash AND ours.role = other.role
WHERE has(other.chunk_hashes, ours.chunk_hash)
ORDER BY other.ts
LIMIT 1 BY ours.label_id
"""
#: Labels that nobody else has or asks for.
_ALONE = """
SELECT label_id FROM labels
WHERE label_id IN (SELECT label_id FROM labels WHERE {mine})
    AND (query_hash, role, chunk_hash) NOT IN
    (
        SELECT query_hash, role, arrayJoin(chunk_hashes) FROM grading_jobs
        WHERE query_hash IN (SELECT query_hash FROM labels WHERE {mine}) AND NOT ({mine})
    )
GROUP BY label_id HAVING min({mine})
"""


def _of_chunks(client: Client, hashes: str) -> Iterator[Removal]:
    yield _delete("chunks", f"chunk_hash IN {hashes}")
    yield from _of_entries(f"chunk_hash IN {hashes}")
    for table in ("job_positions", "grading_jobs"):
        yield _update(
            table,
            f"arrayExists(hash -> hash IN {hashes}, chunk_hashes)",
            f"chunk_hashes = arrayFilter(hash -> hash NOT IN {hashes}, chunk_hashes)",
        )
    yield _cut(f"hash IN {hashes}")
    yield _cut_shards(f"hash IN {hashes}")
    labels = f"SELECT DISTINCT label_id FROM labels WHERE chunk_hash IN {hashes}"  # noqa: S608
    for some in _batches(_hashes(client, labels)):
        yield _delete("unfinished_labels", f"label_id IN {literals(some)}")
    yield _delete("labels", f"chunk_hash IN {hashes}")


def _of_chunk_ids(hashes: str) -> Iterator[Removal]:
    named = f"{tombstone_sql('chunk_id', 'chunk_id')} IN {hashes}"
    yield from _of_entries(named)
    yield _delete("feedback", named)
    yield _cut(f"{tombstone_sql('chunk_id', 'id')} IN {hashes}")
    yield _cut_shards(f"{tombstone_sql('chunk_id', 'id')} IN {hashes}")


def _of_entries(goes: str) -> Iterator[Removal]:
    """Chunks leave their indexes; that each had one more stays, as `tables.forgotten_entry` has it.

    Otherwise a build that was complete would be so no more.
    """
    hashed = tombstone_sql("chunk_id", "chunk_id")
    left = _LEFT.format(hashed=hashed, goes=goes)
    columns = ", ".join(f"`{each}`" for each in INDEX_ENTRIES.columns)
    yield Removal("index_entries", f"({left})", f"INSERT INTO index_entries ({columns}) {left}")
    yield _delete("index_entries", goes)


_LEFT = """
SELECT `index`, index_version, lower(hex({hashed})), toFixedString('', 16), '', true, ts
FROM index_entries FINAL
WHERE {goes}
"""


def _cut(goes: str) -> Removal:
    """Candidates leave the parallel arrays of a retrieval; the others keep their ranks.

    Fields that a service added to candidates go for the whole retrieval: they are one JSON text.
    """
    kept = f"arrayMap((id, hash) -> NOT ({goes}), chunk_ids, chunk_hashes)"
    arrays = ("chunk_ids", "chunk_hashes", "ranks", "scores", "in_context")
    cut = ", ".join(f"{each} = arrayFilter((_, kept) -> kept, {each}, {kept})" for each in arrays)
    return _update(
        "retrievals",
        f"arrayExists((id, hash) -> {goes}, chunk_ids, chunk_hashes)",
        f"{cut}, extra = if(JSONHas(extra, 'candidates'), '', extra)",
    )


def _cut_shards(goes: str) -> Removal:
    """Chunks leave the shards of re-embeddings; one that waits has no fates yet."""
    kept = f"arrayMap((id, hash) -> NOT ({goes}), chunk_ids, chunk_hashes)"
    cut = ", ".join(
        f"{each} = arrayFilter((_, kept) -> kept, {each}, {kept})"
        for each in ("chunk_ids", "chunk_hashes")
    )
    fates = f"arrayFilter((_, kept) -> kept, arrayResize(fates, length(chunk_ids)), {kept})"
    return _update(
        "reembed_shards",
        f"arrayExists((id, hash) -> {goes}, chunk_ids, chunk_hashes)",
        f"{cut}, fates = arrayFilter(fate -> fate != '', {fates})",
    )


def _hashes(client: Client, sql: str) -> list[bytes]:
    return [row[0] for row in client.query(sql).result_rows]


def _batches(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), _MOST):
        yield items[start : start + _MOST]
