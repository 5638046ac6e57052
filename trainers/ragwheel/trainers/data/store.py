"""Reading ClickHouse through the deduplicating views: the queries of `sql`, with bound values."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import resources
from typing import TYPE_CHECKING, Any, Protocol

from ragwheel.measuring.intervals import Interval
from ragwheel.measuring.rank_metrics import RELEVANT_GRADE
from ragwheel.schemas.errors import UnavailableError
from ragwheel.trainers.data.records import Corpus, GradedPair, Judgment, SampledQuery
from ragwheel.trainers.proof.evaluation import Figure

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

_SQL = resources.files("ragwheel.trainers.data") / "sql"
#: Query hashes bound into one statement: they travel in the URL, about 41 bytes each, and proxies
#: cut request lines at 8 KiB.
_HASHES_AT_ONCE = 150
#: UNKNOWN_TABLE and UNKNOWN_DATABASE: they went away.
_TABLE_IS_MISSING = re.compile(r"\bcode:? (60|81)\b", re.IGNORECASE)


class WheelStore(Protocol):
    """What a training cycle reads. Every method reads the present state; none keeps a cursor."""

    def count_answered(self) -> int:
        """Distinct queries with at least one relevant label."""

    def sampled_queries(self) -> list[SampledQuery]:
        """Queries that were sampled for labels, one per hash, in order of their hash."""

    def labels(self) -> list[GradedPair]:
        """Grades for training, one per (query, chunk): the newest where graders differ."""

    def judge_grades(self) -> list[GradedPair]:
        """All grades that judges ever gave."""

    def corpus(self) -> Corpus:
        """The newest index, or everything that was retrieved where services sent no index."""

    def judgments(self, query_hashes: Sequence[str]) -> list[Judgment]:
        """What judges said so far about these queries, by any grader and with any status."""

    def last_figures(self) -> list[Figure]:
        """What the last gate measured; empty before the first."""


class WheelReader:
    """A `WheelStore` over one client. Not thread-safe.

    Methods raise UnavailableError when ClickHouse does not answer.
    """

    def __init__(self, client: Client) -> None:
        """Borrows the client; its default database is the wheel's."""
        self._client = client

    def count_answered(self) -> int:
        """Distinct queries with at least one relevant label."""
        rows = self._rows("count_answered", relevant=RELEVANT_GRADE)
        return int(rows[0][0])

    def sampled_queries(self) -> list[SampledQuery]:
        """Queries that were sampled for labels, one per hash, in order of their hash."""
        return [
            SampledQuery(
                row[0], row[1], row[2], row[3], _utc(row[4]), row[5], row[6], tuple(row[7])
            )
            for row in self._rows("sampled_queries")
        ]

    def labels(self) -> list[GradedPair]:
        """Grades for training, one per (query, chunk): the newest where graders differ."""
        return self._grades("label")

    def judge_grades(self) -> list[GradedPair]:
        """All grades that judges ever gave, the newest per pair."""
        return self._grades("judge")

    def corpus(self) -> Corpus:
        """The newest index, or everything that was retrieved where services sent no index."""
        if newest := self._rows("newest_index"):
            version = str(newest[0][0])
            rows = self._rows("corpus_of_index", version=version)
        else:
            version = ""
            rows = self._rows("corpus_of_all")
        return Corpus(tuple(row[0] for row in rows), tuple(row[1] for row in rows), version)

    def judgments(self, query_hashes: Sequence[str]) -> list[Judgment]:
        """What judges said so far about these queries, by any grader and with any status."""
        found: list[Judgment] = []
        for start in range(0, len(query_hashes), _HASHES_AT_ONCE):
            rows = self._rows(
                "judgments", hashes=list(query_hashes[start : start + _HASHES_AT_ONCE])
            )
            found += [Judgment(*row) for row in rows]
        return found

    def last_figures(self) -> list[Figure]:
        """What the last gate measured; empty before the first."""
        return [
            Figure(metric, int(k), segment, system, Interval(value, low, high), int(queries))
            for metric, k, segment, system, value, low, high, queries in self._rows("last_figures")
        ]

    def _grades(self, role: str) -> list[GradedPair]:
        rows = self._rows("grades", role=role)
        return [GradedPair(row[0], row[1], int(row[2]), row[3]) for row in rows]

    def _rows(self, query: str, **parameters: Any) -> Sequence[Sequence[Any]]:
        """Rows of the query in `sql/<query>.sql`."""
        from clickhouse_connect.driver.exceptions import DatabaseError, OperationalError

        sql = _SQL.joinpath(f"{query}.sql").read_text("utf-8")
        try:
            result = self._client.query(sql, parameters=parameters)
        except DatabaseError as error:
            if not isinstance(error, OperationalError) and not _TABLE_IS_MISSING.search(str(error)):
                raise
            raise UnavailableError(
                f"ClickHouse cannot be read ({str(error).strip()[:200]}): check that it runs and "
                "RAGWHEEL_CLICKHOUSE_URL; `ragwheel migrate` makes the tables"
            ) from None
        return result.result_rows


def _utc(value: datetime) -> datetime:
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
