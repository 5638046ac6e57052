"""Reading the accounts: positions from Kafka, the ledger and the dead letters from ClickHouse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from ragwheel.accounting.accounts import OffsetRange, PartitionFacts, TopicAccount, account, union
from ragwheel.backends.positions import Broker
from ragwheel.schemas.limits import MAX_BATCH_ROWS
from ragwheel.schemas.settings import AccountsSettings, KafkaSettings
from ragwheel.schemas.topics import TOPICS, Partition

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

#: The ledger forgets rows after 30 days (its TTL); a little before that it is not complete.
_LEDGER_MEMORY = timedelta(days=29)


@dataclass(frozen=True, slots=True)
class Groups:
    """Consumer groups whose commits count."""

    intake: str = AccountsSettings.model_fields["intake_group"].default
    grader: str = AccountsSettings.model_fields["grader_group"].default


_LEDGER = """
SELECT topic, partition, min(first_offset), max(last_offset), min(at)
FROM
(
    SELECT *, sum(starts) OVER (PARTITION BY topic, partition
        ORDER BY first_offset, last_offset ROWS UNBOUNDED PRECEDING) AS island
    FROM
    (
        SELECT topic, partition, first_offset, last_offset, at,
            first_offset > 1 + max(last_offset) OVER (PARTITION BY topic, partition
                ORDER BY first_offset, last_offset
                ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS starts
        FROM ingest_ledger
        WHERE first_offset >= transform(concat(topic, ':', toString(partition)),
            {places:Array(String)}, {floors:Array(UInt64)}, toUInt64(0))
    )
)
GROUP BY topic, partition, island
"""
_DEAD = "SELECT topic, partition, uniqExact(offset) FROM dead_letters GROUP BY topic, partition"
_UNGRADED = """
SELECT uniqExact(job_id)
FROM
(
    SELECT job_id, role, query_hash, arrayJoin(chunk_hashes) AS chunk_hash
    FROM grading_jobs
    WHERE kafka_offset >= arrayElement({since:Array(UInt64)}, kafka_partition + 1)
        AND kafka_offset < arrayElement({until:Array(UInt64)}, kafka_partition + 1)
        AND (kafka_partition, kafka_offset) NOT IN
            (SELECT partition, offset FROM dead_letters WHERE topic = 'grading')
) AS pairs
LEFT ANTI JOIN labels USING (role, query_hash, chunk_hash)
"""


class AccountReader:
    """Reads the accounts again and again; remembers what it saw, so that later reads are cheap.

    Args:
        client: of its own; not shared with another thread.
    """

    def __init__(self, settings: KafkaSettings, client: Client, groups: Groups) -> None:
        self._broker = Broker(settings)
        self._client = client
        self._groups = groups
        self._covered: dict[Partition, list[OffsetRange]] = {}
        self._oldest: dict[Partition, datetime] = {}
        self._graded_until: dict[int, int] = {}

    def read(self) -> list[TopicAccount]:
        """The account of every topic of the registry that exists.

        The order of reading makes it safe beside running workers: commits first, then what must
        have happened before them.

        Raises:
            UnavailableError: Kafka does not answer.
            ClickHouseError: ClickHouse does not.
        """
        partitions = self._broker.partitions()
        acknowledged = self._broker.committed(self._groups.grader, partitions)
        committed = self._broker.committed(self._groups.intake, partitions)
        ends = self._broker.ends(partitions)
        self._read_ledger()
        dead = {
            (topic, partition): count
            for topic, partition, count in self._client.query(_DEAD).result_rows
        }
        lag = {p: ends[p][1] - committed.get(p, ends[p][0]) for p in partitions}
        labels_are_in = not any(lag[p] > 0 for p in partitions if p[0] == "labels")
        accounts = []
        forgotten = datetime.now(UTC) - _LEDGER_MEMORY
        for topic in TOPICS:
            places = [place for place in partitions if place[0] == topic]
            if not places:
                continue
            facts = [
                PartitionFacts(
                    *ends[place],
                    committed.get(place),
                    self._covered.get(place, ()),
                    dead.get(place, 0),
                    self._oldest.get(place, forgotten) >= forgotten,
                )
                for place in places
            ]
            pending = ungraded = 0
            if topic == "grading":
                pending = sum(ends[p][1] - acknowledged.get(p, ends[p][0]) for p in places)
                if labels_are_in:
                    ungraded = self._ungraded(places, acknowledged, committed)
            accounts.append(account(topic, facts, pending_jobs=pending, ungraded_jobs=ungraded))
        return accounts

    def close(self) -> None:
        """Release the connections to Kafka; the ClickHouse client is the caller's."""
        self._broker.close()

    def _read_ledger(self) -> None:
        """Read what is new; intervals that a later batch may still extend are read again."""
        floors = {
            f"{topic}:{partition}": max(0, islands[0][1] - MAX_BATCH_ROWS)
            for (topic, partition), islands in self._covered.items()
        }
        found = self._client.query(
            _LEDGER,
            parameters={"places": ["", *floors], "floors": [0, *floors.values()]},
        ).result_rows
        fresh: dict[Partition, list[OffsetRange]] = {}
        for topic, partition, first, last, at in found:
            place = Partition(topic, partition)
            fresh.setdefault(place, []).append((first, last))
            when = at if at.tzinfo else at.replace(tzinfo=UTC)
            self._oldest[place] = min(when, self._oldest.get(place, when))
        for place, intervals in fresh.items():
            self._covered[place] = union([*self._covered.get(place, ()), *intervals])

    def _ungraded(
        self,
        places: Sequence[Partition],
        acknowledged: dict[Partition, int],
        landed: dict[Partition, int],
    ) -> int:
        """Jobs that the grader acknowledged and intake landed, without all their labels."""
        size = 1 + max(partition for _, partition in places)
        since = [self._graded_until.get(partition, 0) for partition in range(size)]
        until = [0] * size
        for place in places:
            until[place[1]] = min(acknowledged.get(place, 0), landed.get(place, 0))
        found = self._client.query(_UNGRADED, parameters={"since": since, "until": until})
        missing = int(found.result_rows[0][0])
        if missing == 0:
            self._graded_until = dict(enumerate(until))
        return missing


def read_accounts(
    settings: KafkaSettings, client: Client, groups: Groups | None = None
) -> list[TopicAccount]:
    """The accounts, once. See `AccountReader.read`."""
    reader = AccountReader(settings, client, groups or Groups())
    try:
        return reader.read()
    finally:
        reader.close()
