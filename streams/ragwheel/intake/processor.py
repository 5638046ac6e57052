"""One batch: rows, then jobs and dead letters, then the ledger. The caller commits after that.

The order is the guarantee. Offsets are committed only when everything that a message became is
durable somewhere else, so a crash at any point repeats work and loses none; what is repeated has
the same identities and collapses when read.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial

from ragwheel.backends.telemetry import Telemetry
from ragwheel.intake.backoff import Persistence
from ragwheel.intake.inserts import Inserter, refused
from ragwheel.intake.offsets import runs, token
from ragwheel.intake.outlet import Outlet, job_message, letter_message
from ragwheel.intake.prepare import Acceptance, Prepared, prepare, reject
from ragwheel.intake.seen import LandedChunks
from ragwheel.schemas import metrics
from ragwheel.schemas.events import FeedbackEvent, RetrievalEvent
from ragwheel.schemas.tables import CHUNKS, INGEST_LEDGER, Row, Table
from ragwheel.schemas.topics import Position, TopicName
from ragwheel.schemas.wire import Received


class Processor:
    """Makes batches durable.

    Args:
        now: the wall clock, UTC.
    """

    def __init__(
        self,
        rules: Acceptance,
        inserter: Inserter,
        outlet: Outlet,
        persistence: Persistence,
        telemetry: Telemetry,
        now: Callable[[], datetime],
    ) -> None:
        self._rules = rules
        self._inserter = inserter
        self._outlet = outlet
        self._persistence = persistence
        self._telemetry = telemetry
        self._now = now
        self._landed_chunks = LandedChunks()
        self.newest: dict[TopicName, datetime] = {}
        """Time of the newest event of each topic that landed through this process."""

    def process(self, messages: Sequence[Received]) -> None:
        """Land, deliver, account; when it returns, the offsets may be committed.

        Faults of ClickHouse and Kafka are waited out in here.

        Raises:
            StopRequestedError: the process shall end; nothing may be committed.
        """
        now = self._now()
        batch = {message.position: prepare(message, self._rules, now) for message in messages}
        self._land(batch)
        self._deliver(list(batch.values()))
        self._account(list(batch.values()))
        for item in batch.values():
            self._count(item)

    def _land(self, batch: dict[Position, Prepared]) -> None:
        """Insert all rows; messages whose rows ClickHouse refuses become dead letters.

        After a refusal everything is inserted again without the refused messages: a chunk's text
        may have been left to one of them. Tokens make the repetition free where nothing changed.
        """
        while True:
            bad: dict[Position, str] = {}
            for table, rows in self._rows_by_table(batch).items():
                bad |= refused(list(rows), partial(self._insert, table, rows))
            if not bad:
                break
            for position, reason in bad.items():
                batch[position] = reject(batch[position].message, "processing_failed", reason)
        hashes = (r[0] for item in batch.values() for table, r in item.rows if table is CHUNKS)
        self._landed_chunks.add(hashes)

    def _rows_by_table(
        self, batch: dict[Position, Prepared]
    ) -> dict[Table, dict[Position, list[Row]]]:
        tables: dict[Table, dict[Position, list[Row]]] = defaultdict(lambda: defaultdict(list))
        chunks_here: set[str] = set()
        for position, item in batch.items():
            for table, row in item.rows:
                if table is CHUNKS:
                    chunk_hash: str = row[0]
                    if chunk_hash in chunks_here or chunk_hash in self._landed_chunks:
                        continue
                    chunks_here.add(chunk_hash)
                tables[table][position].append(row)
        return tables

    def _insert(
        self, table: Table, rows: dict[Position, list[Row]], positions: Sequence[Position]
    ) -> None:
        flat = [row for position in positions for row in rows[position]]
        self._insert_persistently(table, flat, token(table.name, positions))

    def _insert_persistently(self, table: Table, rows: list[Row], name: str) -> None:
        self._persistence.until_done(
            f"insert into {table.name}",
            lambda: self._inserter.insert(table, rows, name),
            lambda: self._telemetry.inc(metrics.INSERT_ERRORS, table=table.name),
        )

    def _deliver(self, batch: Sequence[Prepared]) -> None:
        outgoing = [job_message(item.job) for item in batch if item.job]
        outgoing += [letter_message(item.letter) for item in batch if item.letter]
        if outgoing:
            self._persistence.until_done(
                "sending jobs and dead letters", lambda: self._outlet.deliver(outgoing)
            )

    def _account(self, batch: Sequence[Prepared]) -> None:
        """One ledger row per gapless run of offsets."""
        dead = {item.message.position for item in batch if item.letter}
        rows: list[Row] = []
        for run in runs(item.message.position for item in batch):
            topic, partition, first, last = run
            lost = sum((topic, partition, at) in dead for at in range(first, last + 1))
            rows.append((topic, partition, first, last, last - first + 1 - lost, lost, self._now()))
        name = token(INGEST_LEDGER.name, (item.message.position for item in batch))
        self._insert_persistently(INGEST_LEDGER, rows, name)

    def _count(self, item: Prepared) -> None:
        inc = self._telemetry.inc
        topic = item.message.topic
        if item.letter:
            inc(metrics.DEAD_LETTERED, topic=topic, reason=item.letter.reason)
            return
        inc(metrics.LANDED, topic=topic)
        record = item.record
        ts = getattr(record, "ts", None)
        if isinstance(ts, datetime):
            self.newest[topic] = max(ts, self.newest.get(topic, ts))
        if isinstance(record, RetrievalEvent):
            inc(metrics.RETRIEVALS, segment=record.segment, stage=record.stage)
            if not record.candidates:
                inc(metrics.ZERO_RESULTS, segment=record.segment, stage=record.stage)
        elif isinstance(record, FeedbackEvent):
            inc(metrics.FEEDBACK, segment=record.segment, kind=record.kind)
        if item.job:
            inc(metrics.SAMPLED, segment=item.job.segment)
