"""What ClickHouse knows of re-embeddings: reads, appends, and nothing decided here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ragwheel.reembed import statements
from ragwheel.reembed.shards import ChunkPair, Shard, Totals, tally
from ragwheel.reembed.states import Reembed
from ragwheel.schemas.errors import UnavailableError
from ragwheel.schemas.events import IndexEvent
from ragwheel.schemas.tables import INDEX_ENTRIES, REEMBED_SHARDS, REEMBEDS

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

#: Chunks that are put into shards at once: 100 shards.
_AT_ONCE = 102_400
#: An insert is one block, on the disks of as many replicas as the server asks for.
_INSERT = {"async_insert": 0}


@dataclass(frozen=True, slots=True)
class JudgedQuery:
    """A held-out query with its relevant chunks, by content hash."""

    query: str
    relevant: frozenset[str]


@dataclass(frozen=True, slots=True)
class CorpusSize:
    """What an index holds.

    Attributes:
        chunks: ids.
        texts: different ones.
        tokens: of the chunks, as `models.encoder` estimates them.
    """

    chunks: int
    texts: int
    tokens: int


class ReembedStore:
    """Reads and writes `reembeds` and `reembed_shards`. For one thread.

    Everything raises UnavailableError when ClickHouse does not answer.
    """

    def __init__(self, client: Client) -> None:
        """Takes over `client`, whose database has the tables."""
        self._client = client

    def reembeds(self) -> list[Reembed]:
        """The newest row of each, the latest change last."""
        rows = self._rows(statements.REEMBEDS)
        names = [each.name for each in fields(Reembed)]
        return [Reembed(**dict(zip(names, row, strict=True))) for row in rows]

    def save(self, reembed: Reembed) -> None:
        """Append a change of state."""
        row = tuple(getattr(reembed, name) for name in REEMBEDS.columns)
        self._insert(REEMBEDS.name, [row], REEMBEDS.columns)

    def declared(self) -> list[IndexEvent]:
        """The newest complete declaration of each index."""
        return self._declarations(statements.DECLARED)

    def declaration(self, index: str, version: str) -> IndexEvent | None:
        """The newest that was said of a build; None: nothing."""
        found = self._declarations(statements.DECLARATION, index=index, version=version)
        return found[0] if found else None

    def versions(self, index: str) -> set[str]:
        """Every build of an index that was ever declared, filled or planned."""
        return {row[0] for row in self._rows(statements.VERSIONS, index=index)}

    def size(self, index: str, version: str, max_seq_length: int) -> CorpusSize:
        """How much there is to embed."""
        longest = max_seq_length or 2**31
        ((chunks, texts, tokens),) = self._rows(
            statements.SIZE, index=index, version=version, longest=longest
        )
        return CorpusSize(chunks, texts, tokens)

    def sample(self, index: str, version: str, count: int, seed: int) -> list[tuple[str, str]]:
        """(content hash, text) of different chunks, drawn by hash: the same for equal corpora."""
        return list(
            self._rows(statements.SAMPLE, index=index, version=version, count=count, seed=seed)
        )

    def fresh(self, reembed: Reembed) -> list[ChunkPair]:
        """Chunks that the index holds and no shard does; not all at once if they are many."""
        return list(self._rows(statements.FRESH, **self._of(reembed), most=_AT_ONCE))

    def stale(self, reembed: Reembed) -> list[tuple[str, ChunkPair]]:
        """(shard id, chunk) of what shards hold and the index does not: deleted, edited, gone."""
        rows = self._rows(statements.STALE, **self._of(reembed))
        return [(shard_id, (chunk_id, chunk_hash)) for shard_id, chunk_id, chunk_hash in rows]

    def live_ids(self, reembed: Reembed, ids: Sequence[str]) -> set[str]:
        """Which of these ids the index holds, whatever they say."""
        return {row[0] for row in self._rows(statements.LIVE, **self._of(reembed), ids=list(ids))}

    def shard_ids(self, reembed: Reembed, state: str) -> list[str]:
        """Shards in that state."""
        rows = self._rows(statements.SHARD_IDS, id=reembed.reembed_id, state=state)
        return [row[0] for row in rows]

    def shards(self, reembed: Reembed, shard_ids: Sequence[str]) -> list[Shard]:
        """These shards, in any order."""
        rows = self._rows(statements.SHARDS, id=reembed.reembed_id, ids=list(shard_ids))
        return [
            Shard(shard_id, revision, state, list(zip(ids, hashes, strict=True)), fates, s, runner)
            for shard_id, revision, state, ids, hashes, fates, s, runner in rows
        ]

    def held(self, reembed: Reembed, hashes: Sequence[str], ids: Sequence[str]) -> list[str]:
        """Ids in shards that have one of these texts, or are among `ids`."""
        rows = self._rows(
            statements.HELD_IDS, id=reembed.reembed_id, hashes=list(hashes), ids=list(ids)
        )
        return [row[0] for row in rows]

    def unfinished(self, reembed: Reembed) -> list[str]:
        """Shards that are done and have chunks that were not embedded."""
        return [row[0] for row in self._rows(statements.UNFINISHED, id=reembed.reembed_id)]

    def write(self, reembed: Reembed, shards: Iterable[Shard]) -> None:
        """Append what became of shards."""
        at = datetime.now(UTC)
        rows = [
            (
                reembed.reembed_id, bytes.fromhex(each.shard_id), each.revision, each.state,
                [chunk_id for chunk_id, _ in each.pairs],
                [bytes.fromhex(chunk_hash) for _, chunk_hash in each.pairs],
                list(each.fates), each.seconds, each.runner, at,
            )
            for each in shards
        ]  # fmt: skip
        if rows:
            self._insert(REEMBED_SHARDS.name, rows, REEMBED_SHARDS.columns)

    def texts(self, hashes: Sequence[str]) -> dict[str, str]:
        """Texts by content hash; those that are forgotten or were never stored are left out."""
        return dict(self._rows(statements.TEXTS, hashes=list(set(hashes))))

    def totals(self, reembed: Reembed) -> Totals:
        """What became of the corpus so far."""
        ((corpus,),) = self._rows(statements.CORPUS, **self._of(reembed))
        ((waiting, shards, done, seconds),) = self._rows(statements.PROGRESS, id=reembed.reembed_id)
        fates = dict(self._rows(statements.FATES, id=reembed.reembed_id))
        embedded, failed, skipped = tally(fates)
        return Totals(corpus, embedded, failed, skipped, waiting, shards, done, seconds)

    def embedded_sample(self, reembed: Reembed, count: int, seed: int) -> list[ChunkPair]:
        """Chunks of the new build, drawn by hash."""
        return list(
            self._rows(statements.EMBEDDED_SAMPLE, id=reembed.reembed_id, count=count, seed=seed)
        )

    def hashes_of(self, reembed: Reembed, ids: Iterable[str]) -> dict[str, str]:
        """Content hashes of chunks of the index, by id."""
        return dict(self._rows(statements.HASHES, **self._of(reembed), ids=sorted(set(ids))))

    def judged(self, reembed: Reembed, most: int) -> list[JudgedQuery]:
        """Held-out queries that a judge decided on, with their relevant chunks in the index."""
        rows = self._rows(statements.JUDGED, **self._of(reembed), most=most)
        return [JudgedQuery(query, frozenset(relevant)) for query, relevant in rows]

    def copy_entries(self, reembed: Reembed) -> int:
        """Let the new build have the old one's chunks, in the server; those without a vector not.

        Deleted ones go along: what was deleted after an earlier copy is deleted here, too.

        Returns:
            How many it has.
        """
        columns = ", ".join(f"`{each}`" for each in INDEX_ENTRIES.columns)
        goes = statements.COPY.format(columns=columns)
        parameters = {**self._of(reembed), "new": reembed.version}
        with self._answering():
            self._client.command(goes, parameters=parameters)
        ((count,),) = self._rows(statements.COUNT, index=reembed.index, version=reembed.version)
        return int(count)

    def deleted_ids(self, reembed: Reembed) -> list[str]:
        """Chunks that were deleted from the old build, whenever that was."""
        return [row[0] for row in self._rows(statements.DELETED, **self._of(reembed))]

    def came_since(self, reembed: Reembed, version: str, other: str) -> int:
        """Chunks that one build of the index has and another has not."""
        ((count,),) = self._rows(statements.CAME, index=reembed.index, version=version, other=other)
        return int(count)

    def _declarations(self, sql: str, **parameters: Any) -> list[IndexEvent]:
        names = (
            "index", "index_version", "ts", "complete", "chunks", "embedding_model",
            "document_fingerprint", "prompt", "max_seq_length",
        )  # fmt: skip
        rows = self._rows(sql, **parameters)
        return [IndexEvent(**dict(zip(names, row, strict=True))) for row in rows]

    def _of(self, reembed: Reembed) -> dict[str, Any]:
        return {
            "id": reembed.reembed_id,
            "index": reembed.index,
            "version": reembed.from_version,
        }

    def _rows(self, sql: str, **parameters: Any) -> Sequence[Any]:
        with self._answering():
            return self._client.query(sql, parameters=parameters, tz_mode="aware").result_rows

    def _insert(self, table: str, rows: list[Any], columns: Sequence[str]) -> None:
        with self._answering():
            self._client.insert(table, rows, column_names=list(columns), settings=_INSERT)

    @contextmanager
    def _answering(self) -> Iterator[None]:
        from clickhouse_connect.driver.exceptions import ClickHouseError
        from urllib3.exceptions import HTTPError

        try:
            yield
        except (ClickHouseError, HTTPError) as error:
            said = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
            raise UnavailableError(
                f"ClickHouse ended it ({said}): type the same again, it goes on from there"
            ) from error
