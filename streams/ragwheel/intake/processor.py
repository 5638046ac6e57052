"""One batch: rows, then jobs and dead letters, then the ledger. The caller commits after that.

The order is the guarantee. Offsets are committed only when everything that a message became is
durable somewhere else, so a crash at any point repeats work and loses none; what is repeated has
the same identities and collapses when read.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from ragwheel.backends.telemetry import Telemetry
from ragwheel.intake.backoff import Persistence
from ragwheel.intake.contracts import Inserts, Outlet
from ragwheel.intake.gauges import Freshness
from ragwheel.intake.inserts import RowsRefusedError
from ragwheel.intake.offsets import Span
from ragwheel.intake.outlet import job_message, letter_message
from ragwheel.intake.prepare import Acceptance, Prepared, prepare, reject
from ragwheel.intake.seen import LandedChunks
from ragwheel.schemas import metrics
from ragwheel.schemas.events import Event, FeedbackEvent, QueryEvent, RetrievalEvent
from ragwheel.schemas.tables import CHUNKS, FORGOTTEN, INGEST_LEDGER, Row, Table
from ragwheel.schemas.topics import Partition, Position
from ragwheel.schemas.wire import Received


@dataclass
class Processor:
    """Makes batches durable: `contracts.BatchWork`.

    Attributes:
        now: the wall clock, UTC.
        refresh_forgotten: brings `rules.forgotten` up to date before a batch; often does nothing.
    """

    rules: Acceptance
    inserts: Inserts
    outlet: Outlet
    persistence: Persistence
    telemetry: Telemetry
    freshness: Freshness
    now: Callable[[], datetime]
    refresh_forgotten: Callable[[], None] = lambda: None
    _landed_chunks: LandedChunks = field(default_factory=LandedChunks, init=False)

    def process(self, messages: Sequence[Received], spans: Sequence[Span]) -> None:
        """Land, deliver, account. Faults of ClickHouse and Kafka are waited out in here."""
        self.persistence.until_done("reading what is forgotten", self.refresh_forgotten)
        now = self.now()
        batch = {message.position: prepare(message, self.rules, now) for message in messages}
        self._land(batch)
        self._deliver(list(batch.values()))
        self._account(spans, list(batch.values()))
        for item in batch.values():
            self._count(item)

    def _land(self, batch: dict[Position, Prepared]) -> None:
        """Insert all rows; messages whose rows ClickHouse refuses become dead letters.

        After a refusal everything is inserted again without the refused messages: a chunk's text
        may have been left to one of them. What lands twice so is one row to readers.
        """
        while True:
            bad: dict[Position, str] = {}
            for table, rows in self._rows_by_table(batch).items():
                bad |= self.inserts.land(table, rows)
            if not bad:
                break
            for position, reason in bad.items():
                batch[position] = reject(batch[position].message, "processing_failed", reason)
        for item in batch.values():
            for table, row in item.rows:
                if table is FORGOTTEN:
                    self.rules.forgotten.add(*row)
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

    def _deliver(self, batch: Sequence[Prepared]) -> None:
        outgoing = [job_message(job) for item in batch for job in item.jobs]
        outgoing += [letter_message(item.letter) for item in batch if item.letter]
        if outgoing:
            self.persistence.until_done(
                "sending jobs and dead letters", lambda: self.outlet.deliver(outgoing)
            )

    def _account(self, spans: Sequence[Span], batch: Sequence[Prepared]) -> None:
        """One row of the ledger for each span."""
        dead: dict[Partition, list[int]] = defaultdict(list)
        for item in batch:
            if item.letter:
                at = item.message.position
                dead[Partition(at.topic, at.partition)].append(at.offset)
        now = self.now()
        rows: dict[Position, list[Row]] = {}
        for span in spans:
            row = (
                span.origin, span.topic, span.partition, span.start, span.until,
                sorted(dead[Partition(span.topic, span.partition)]),
                [first for first, _ in span.absent], [after for _, after in span.absent], "", now,
            )  # fmt: skip
            rows[Position(span.topic, span.partition, span.start, span.origin)] = [row]
        refused = self.inserts.land(INGEST_LEDGER, rows)
        if refused:  # our own numbers: no event can cause this, and nothing may be committed
            raise RowsRefusedError("; ".join(refused.values()))

    def _count(self, item: Prepared) -> None:
        inc = self.telemetry.inc
        topic = item.message.topic
        if item.letter:
            inc(metrics.DEAD_LETTERED, topic=topic, reason=item.letter.reason)
            return
        if item.forgotten:
            inc(metrics.FORGOTTEN, topic=topic)
            return
        inc(metrics.LANDED, topic=topic)
        for record in item.records:
            ts = getattr(record, "ts", None)
            if isinstance(ts, datetime):
                self.freshness.landed(topic, ts)
            if isinstance(record, Event):
                self._count_event(record)
        for job in item.jobs:
            of = f"query {job.query_id}"
            inc(metrics.SAMPLED, segment=self.telemetry.bounded("segment", job.segment, of))

    def _count_event(self, event: Event) -> None:
        of = f"service {event.service!r}"
        segment = self.telemetry.bounded("segment", event.segment, of)
        if isinstance(event, QueryEvent):
            self.telemetry.inc(metrics.QUERIES, segment=segment)
        elif isinstance(event, FeedbackEvent):
            self.telemetry.inc(metrics.FEEDBACK, segment=segment, kind=event.kind)
        elif isinstance(event, RetrievalEvent):
            stage = self.telemetry.bounded("stage", event.stage, of)
            self.telemetry.inc(metrics.RETRIEVALS, segment=segment, stage=stage)
            if not event.candidates:
                self.telemetry.inc(metrics.ZERO_RESULTS, segment=segment, stage=stage)
            if event.latency_ms:
                self.telemetry.observe(
                    metrics.RETRIEVAL_SECONDS, event.latency_ms / 1000, stage=stage
                )
