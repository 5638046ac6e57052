"""Forgetting a user, a search or a chunk: in every table, and for whatever is read again.

Tombstones come first, so that intake drops what still arrives; then rows go. What intake had in
hand may land after that, so this waits until intake has read what Kafka held, and looks again,
until nothing new turns up (docs/decisions/0016-forgetting.md). Running it again is harmless.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from ragwheel.backends.clickhouse import connect
from ragwheel.backends.positions import Broker
from ragwheel.operations.catching_up import CatchingUp
from ragwheel.operations.erasing import (
    Erased,
    Marked,
    Tell,
    erase,
    letters_of,
    purge,
    query_ids_in,
    steps_for,
)
from ragwheel.operations.extras import require_extra
from ragwheel.schemas.errors import ConfigError, UnavailableError
from ragwheel.schemas.secrets import StoreUrl
from ragwheel.schemas.settings import IntakeSettings
from ragwheel.schemas.tables import FORGOTTEN
from ragwheel.schemas.tombstones import (
    TombstoneKind,
    Tombstones,
    tombstone_hash,
    tombstone_sql,
)

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

#: Clocks of services may be ahead of ours so far.
_CLOCKS = timedelta(seconds=5)
_HASH_CHARS = 32


@dataclass(frozen=True, slots=True)
class Subject:
    """What shall be forgotten: one of these.

    Attributes:
        user: a pseudonym, with all its searches until now, and searches without a user that belong
            to its sessions.
        query_id: one search.
        chunk_id: a chunk: what it says, under whichever id, and its id until now.
        content_hash: a text, under whichever id.
    """

    user: str = ""
    query_id: str = ""
    chunk_id: str = ""
    content_hash: str = ""

    def check(self) -> None:
        """Raises ConfigError unless exactly one is given and can be one."""
        given = [name for name in self.__slots__ if getattr(self, name)]
        if len(given) != 1:
            raise ConfigError("say exactly one of --user, --query-id, --chunk, --content-hash")
        digits = self.content_hash
        if digits and (len(digits) != _HASH_CHARS or digits.strip("0123456789abcdef")):
            raise ConfigError(
                f"--content-hash {digits!r}: 32 lower-case hexadecimal digits are needed, as in "
                "v_chunks; a chunk's id goes into --chunk"
            )


@dataclass(frozen=True, slots=True)
class TableErasure:
    """Rows of one table as they were stored, copies included."""

    table: str
    deleted: int
    changed: int


@dataclass(frozen=True, slots=True)
class ForgetReport:
    """What was forgotten, or would be.

    Attributes:
        queries: searches it comprises.
        tables: where something was found.
        complete: nothing is left to do. Otherwise intake has messages to read that may belong to
            it, or new ones kept coming: run it again.
        waiting: messages that intake had not read when waiting ended.
    """

    dry_run: bool
    queries: int
    tables: Sequence[TableErasure]
    complete: bool = True
    waiting: int = 0


def forget(
    settings: IntakeSettings,
    subject: Subject,
    *,
    vector_store: StoreUrl | None = None,
    dry_run: bool = False,
    wait_s: float = 120.0,
    tell: Tell = lambda _: None,
) -> ForgetReport:
    """Set tombstones, erase, and erase again what landed meanwhile.

    Args:
        vector_store: that re-embeddings fill; needed if one holds what is forgotten.
        wait_s: longest wait for intake.
        tell: hears of progress.

    Raises:
        ConfigError, UnavailableError: of the subject, ClickHouse or Kafka. Run it again.
    """
    from clickhouse_connect.driver.exceptions import ClickHouseError
    from urllib3.exceptions import HTTPError

    subject.check()
    with closing(connect(settings)) as client, Broker(settings) as broker:
        intake = CatchingUp(broker, settings.intake_group, time.monotonic() + wait_s, tell)
        try:
            forgetting = _Forgetting(client, subject, dry_run, tell, vector_store or StoreUrl(""))
            return forgetting.run(intake)
        except (ClickHouseError, HTTPError) as error:
            raise UnavailableError(
                f"ClickHouse ended it ({str(error).strip().splitlines()[0][:300]}): run it again, "
                "it goes on from there"
            ) from error


@dataclass
class _Forgetting:
    """One run."""

    client: Client
    subject: Subject
    dry_run: bool
    tell: Tell
    vector_store: StoreUrl
    _erased: Erased = field(default_factory=Erased)

    def __post_init__(self) -> None:
        self._until = datetime.now(UTC) + _CLOCKS
        self._began = int(str(self.client.command("SELECT toUnixTimestamp(now())")))
        self._tombstones = Tombstones()
        self._set: set[tuple[str, bytes]] = set()

    def run(self, intake: CatchingUp) -> ForgetReport:
        marked, waiting = self._look(), 0
        self._erase(marked)
        complete = self.dry_run
        overdue = False
        # Once in any case: what intake has in hand is told, however long erasing took.
        while not complete and not waiting and not overdue:
            waiting = intake.caught_up()
            known, marked = marked, _joined(marked, self._look())
            self._erase(marked)
            complete = known == marked and not waiting
            overdue = intake.overdue()
        if not self.dry_run:
            purge(self.client, sorted(self._erased.deleted), self.tell)
        tables = sorted({*self._erased.deleted, *self._erased.changed})
        return ForgetReport(
            self.dry_run,
            len(marked.queries),
            [
                TableErasure(each, self._erased.deleted[each], self._erased.changed[each])
                for each in tables
            ],
            complete,
            waiting,
        )

    def _look(self) -> Marked:
        """What belongs to the subject by what is stored now; its tombstones are set."""
        subject = self.subject
        if subject.user:
            self._bury("user", [subject.user])
            ids = self._queries_of(subject.user)
            letters = letters_of(self.client, self._tombstones, frozenset())
            return self._queries(ids | query_ids_in(letters), {subject.user})
        if subject.query_id:
            return self._queries({subject.query_id}, set())
        chunks, ids = {subject.content_hash}, set[str]()
        if subject.chunk_id:
            ids = {subject.chunk_id}
            chunks = self._texts_of(subject.chunk_id)
        self._bury("chunk_id", ids)
        self._bury("chunk", chunks)
        self._leave_builds(chunks, ids)
        return Marked(
            chunks=frozenset(tombstone_hash("chunk", each) for each in chunks),
            chunk_ids=frozenset(tombstone_hash("chunk_id", each) for each in ids),
            names=frozenset(each.encode() for each in ids | chunks),
        )

    def _leave_builds(self, chunks: set[str], ids: set[str]) -> None:
        """Out of vector stores first: rows tell under which ids texts are there."""
        if not int(str(self.client.command("SELECT count() FROM reembeds"))):
            return  # what follows needs another extra
        require_extra("serving")
        from ragwheel.reembed.store import ReembedStore
        from ragwheel.reembed.taking_out import take_out

        store = ReembedStore(self.client)
        taken = take_out(store, self.vector_store, chunks, ids, dry_run=self.dry_run)
        if taken:
            verb = "would leave" if self.dry_run else "left"
            self.tell(f"{self.vector_store}: {taken:,} chunks {verb} the build under way")

    def _queries(self, ids: set[str], names: set[str]) -> Marked:
        self._bury("query", ids)
        hashes = {tombstone_hash("query", each) for each in ids}
        if self.subject.user:
            hashes |= self._seen_by_intake()
        return Marked(
            queries=frozenset(hashes), names=frozenset(each.encode() for each in ids | names)
        )

    def _queries_of(self, user: str) -> set[str]:
        """Of the user until now, and of nobody in a session of the user."""
        until = {"until": self._until}
        sql = _QUERIES_OF.format(
            user=tombstone_sql("user", "user"), hash=tombstone_hash("user", user).hex()
        )
        return {row[0] for row in self.client.query(sql, parameters=until).result_rows}

    def _seen_by_intake(self) -> set[bytes]:
        """Searches of forgotten users that intake met since this began, by hash."""
        rows = self.client.query(_NEW, parameters={"since": self._began}).result_rows
        return {row[0] for row in rows}

    def _texts_of(self, chunk_id: str) -> set[str]:
        sql = _TEXTS_OF.format(
            named=tombstone_sql("chunk_id", "chunk_id"),
            hash=tombstone_hash("chunk_id", chunk_id).hex(),
        )
        return {row[0] for row in self.client.query(sql).result_rows}

    def _bury(self, kind: TombstoneKind, values: Sequence[str] | set[str]) -> None:
        hashes = {tombstone_hash(kind, each) for each in values}
        fresh = [each for each in hashes if (kind, each) not in self._set]
        for each in fresh:
            self._tombstones.add(kind, each, self._until)
            self._set.add((kind, each))
        if fresh and not self.dry_run:
            rows = [(kind, each, self._until) for each in sorted(fresh)]
            self.client.insert(FORGOTTEN.name, rows, column_names=FORGOTTEN.columns)

    def _erase(self, marked: Marked) -> None:
        for each in marked.queries:  # of intake's, too
            self._tombstones.add("query", each, self._until)
        letters = list(letters_of(self.client, self._tombstones, marked.names))
        self._bury("letter", {each.dead_letter_id for each in letters})
        steps = steps_for(self.client, marked, letters)
        done = erase(self.client, steps, dry_run=self.dry_run, tell=self.tell)
        self._erased.deleted += done.deleted
        self._erased.changed += done.changed


_QUERIES_OF = """
WITH mine AS
(
    SELECT query_id, session FROM queries
    WHERE {user} = unhex('{hash}')
        AND (ts <= {{until:DateTime64(3, 'UTC')}} OR landed_at <= {{until:DateTime64(3, 'UTC')}})
)
SELECT query_id FROM mine
UNION DISTINCT
SELECT query_id FROM queries
WHERE user = '' AND session != '' AND session IN (SELECT session FROM mine)
"""
_NEW = """
SELECT hash FROM forgotten WHERE kind = 'query' AND landed_at >= toDateTime({since:UInt32}, 'UTC')
"""
_TEXTS_OF = """
SELECT lower(hex(chunk_hash)) FROM index_entries WHERE {named} = unhex('{hash}')
UNION DISTINCT
SELECT lower(hex(chunk_hash)) FROM
(
    SELECT arrayJoin(arrayZip(chunk_ids, chunk_hashes)) AS pair, pair.1 AS chunk_id,
        pair.2 AS chunk_hash
    FROM retrievals
)
WHERE {named} = unhex('{hash}')
"""


def _joined(one: Marked, other: Marked) -> Marked:
    fields: dict[str, Any] = {
        name: getattr(one, name) | getattr(other, name) for name in Marked.__slots__
    }
    return Marked(**fields)
