"""What ClickHouse says for the accounts: ledger rows that are new, jobs without labels, the state.

Every question goes along a sorting key and asks for what is new, so that its cost does not grow
with history (bench/accounts.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from pydantic import BaseModel, ValidationError

from ragwheel.accounting.accounts import Entry, PartitionAccount, Stretch
from ragwheel.accounting.jobs import JobsAccount
from ragwheel.schemas.limits import MAX_BATCH_ROWS
from ragwheel.schemas.tables import ACCOUNTS_STATE, INGEST_LEDGER, Row
from ragwheel.schemas.tombstones import tombstone_sql
from ragwheel.schemas.topics import TopicName

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

Place = tuple[str, int]
"""Incarnation of a topic and number of the partition."""

#: How long a row may take to show after it was confirmed (replicas), and clocks may differ.
_LATE = timedelta(hours=1)
#: Jobs without labels that are followed one by one; a greater loss is shown as this many.
_MOST_OPEN = 10_000
#: No offset is greater: rows of partitions that nobody asked for.
_NEVER = 2**64 - 1


class State(BaseModel):
    """Everything that the accounts remember, as it is stored."""

    partitions: dict[str, PartitionAccount] = {}
    jobs: JobsAccount = JobsAccount()
    at: datetime = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Unfinished:
    """Labels of one status other than `graded` that no later grade replaced.

    Attributes:
        oldest: when the first of them was decided.
    """

    status: str
    labels: int
    oldest: datetime


_ENTRIES = """
SELECT origin, partition, start, until, dead_lettered, arrayZip(absent_from, absent_until),
    written_off != ''
FROM ingest_ledger
WHERE {where}
ORDER BY origin, partition, until
"""
#: A job is owed a grader's label of its own role for each of its chunks. A person's label of a pair
#: pays no job, and no job asks for a decoy.
_MISSING = """
WITH asked AS (SELECT * FROM job_positions WHERE origin = {{origin:String}} AND ({where}))
SELECT DISTINCT partition, offset
FROM (SELECT partition, offset, role, query_hash, arrayJoin(chunk_hashes) AS chunk_hash FROM asked)
    AS pairs
LEFT ANTI JOIN
(
    SELECT role, query_hash, chunk_hash FROM labels
    WHERE query_hash IN (SELECT query_hash FROM asked) AND source = 'llm'
) AS labels USING (role, query_hash, chunk_hash)
WHERE (partition, offset) NOT IN
    (SELECT partition, offset FROM dead_letters WHERE topic = 'grading')
ORDER BY partition, offset
LIMIT {most}
"""
#: Of jobs without labels, those that stand there and that somebody shall grade: not of forgotten
#: queries, whose positions are deleted before their labels are, or soon after they landed.
_WANTED = """
WITH asked AS
(
    SELECT partition, offset, job_id FROM job_positions
    WHERE origin = {{origin:String}} AND (partition, offset) IN ({jobs})
)
SELECT DISTINCT partition, offset
FROM asked
WHERE job_id NOT IN
(
    SELECT job_id FROM grading_jobs
    WHERE job_id IN (SELECT job_id FROM asked)
        AND {query} IN (SELECT hash FROM forgotten WHERE kind = 'query')
)
ORDER BY partition, offset
"""
_UNFINISHED = """
SELECT status, count(), min(graded_at)
FROM unfinished_labels FINAL
WHERE (query_hash, label_id) NOT IN
(
    SELECT query_hash, label_id FROM labels
    WHERE status = 'graded'
        AND (query_hash, label_id) IN (SELECT query_hash, label_id FROM unfinished_labels)
)
GROUP BY status
ORDER BY status
"""
_STATE = "SELECT state FROM accounts_state FINAL WHERE name = {name:String}"


class Ledger:
    """Borrows a client of its own: not shared with another thread. Raises ClickHouseError."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def state(self, name: str) -> State:
        """What was last stored under `name`; an empty state if nothing was, or another version."""
        rows = self._client.query(_STATE, parameters={"name": name}).result_rows
        try:
            return State.model_validate_json(rows[0][0]) if rows else State()
        except ValidationError:
            return State()

    def store(self, name: str, state: State) -> None:
        """Remember; the newest `at` wins."""
        row = (name, state.model_dump_json(), state.at)
        self._client.insert(ACCOUNTS_STATE.name, [row], column_names=ACCOUNTS_STATE.columns)

    def entries(
        self,
        known: Mapping[Place, PartitionAccount],
        unknown: Iterable[Place],
        read_at: datetime,
    ) -> Iterator[tuple[Place, Entry]]:
        """Rows behind what is known and around its gaps, and all rows of what is unknown.

        Args:
            read_at: when what is known was read; what landed long before is not looked at again.
        """
        since = int((read_at - _LATE).timestamp())
        where = [f"origin = {_text(origin)} AND partition = {n}" for origin, n in unknown]
        new = []
        reaches: dict[str, dict[int, int]] = {}
        for (origin, number), account in known.items():
            reaches.setdefault(origin, {})[number] = account.reach()
            here = f"origin = {_text(origin)} AND partition = {number}"
            # A row that covers a gap ends in it or at most a batch behind it.
            for start, until in account.gaps(account.reach()):
                last = until + MAX_BATCH_ROWS
                new.append(f"{here} AND until > {start} AND until <= {last}")
        # One expression of each topic instead of one of each partition: planning a query with 24
        # alternatives costs twice what reading the last hour does.
        new += [
            f"origin = {_text(origin)} AND until > transform(partition, {[*of]}, {[*of.values()]}, "
            f"{_NEVER})"
            for origin, of in reaches.items()
        ]
        if new:
            where.append(f"landed_at >= toDateTime({max(0, since)}, 'UTC') AND ({_any(new)})")
        if not where:
            return
        sql = _ENTRIES.format(where=_any(where))
        for origin, number, start, until, dead, absent, lost in self._client.query(sql).result_rows:
            yield (origin, number), Entry(start, until, dead, absent, bool(lost))

    def write_off(
        self, topic: TopicName, gone: Mapping[Place, Sequence[Stretch]], why: str
    ) -> None:
        """Declare stretches that nobody read, and nobody can read any more, as lost."""
        now = datetime.now(UTC)
        rows: list[Row] = [
            (origin, topic, number, start, until, [], [], [], why, now)
            for (origin, number), stretches in gone.items()
            for start, until in stretches
        ]
        self._client.insert(INGEST_LEDGER.name, rows, column_names=INGEST_LEDGER.columns)

    def missing_jobs(self, origin: str, within: Mapping[int, Stretch]) -> list[tuple[int, int]]:
        """(partition, offset) of jobs in these stretches that lack a label of any status."""
        where = [
            f"(partition = {number} AND offset >= {start} AND offset < {until})"
            for number, (start, until) in within.items()
        ]
        return self._missing(origin, where)

    def still_missing(self, origin: str, jobs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
        """Of these jobs, those that still lack a label."""
        return self._missing(origin, [f"(partition, offset) IN ({_named(jobs)})"] if jobs else [])

    def unfinished(self) -> list[Unfinished]:
        """Labels without a grade, by status."""
        return [
            Unfinished(status, int(labels), oldest.replace(tzinfo=UTC))
            for status, labels, oldest in self._client.query(_UNFINISHED).result_rows
        ]

    def _missing(self, origin: str, where: Sequence[str]) -> list[tuple[int, int]]:
        if not where:
            return []
        sql = _MISSING.format(where=_any(where), most=_MOST_OPEN)
        missing = self._places(sql, origin)
        if not missing:
            return []
        query = tombstone_sql("query", "query_id")
        return self._places(_WANTED.format(jobs=_named(missing), query=query), origin)

    def _places(self, sql: str, origin: str) -> list[tuple[int, int]]:
        rows = self._client.query(sql, parameters={"origin": origin}).result_rows
        return [(int(number), int(offset)) for number, offset in rows]


def _named(jobs: Iterable[tuple[int, int]]) -> str:
    return ", ".join(f"({number}, {offset})" for number, offset in jobs)


def _any(conditions: Iterable[str]) -> str:
    return " OR ".join(f"({each})" for each in conditions)


def _text(value: str) -> str:
    """A literal. Origins come from the broker: nothing that is quoted here can end the quote."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
