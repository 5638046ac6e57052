"""Reading ClickHouse through the deduplicating views: the queries of `sql`, with bound values.

Large answers are read in blocks of columns, never row by row: a million labels take seconds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import resources
from itertools import starmap
from typing import TYPE_CHECKING, Any, Protocol, get_args

from ragwheel.backends.forgotten import ForgottenReader
from ragwheel.measuring.intervals import Interval
from ragwheel.measuring.rank_metrics import RELEVANT_GRADE
from ragwheel.models.serving_seen import SeenModel, seen_models
from ragwheel.schemas.errors import UnavailableError
from ragwheel.schemas.events import Role
from ragwheel.schemas.identity import GRADER_SERVICE
from ragwheel.schemas.tombstones import Tombstones
from ragwheel.trainers.data.indexes import (
    Build,
    Declaration,
    Named,
    corpus_builds,
    index_of_segments,
)
from ragwheel.trainers.data.records import (
    Corpus,
    DeclaredIndex,
    GateLook,
    Grade,
    IndexSlice,
    Judgment,
    LoggedRanking,
    SampledQuery,
)
from ragwheel.trainers.proof.evaluation import Figure

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

_SQL = resources.files("ragwheel.trainers.data") / "sql"
#: Query hashes bound into one statement: they travel in the URL, about 41 bytes each, and proxies
#: cut request lines at 8 KiB.
_HASHES_AT_ONCE = 150
#: Retrievals of a segment that say which index it searches, and which build of it.
_NEWEST = 100
_EVERY_ROLE: tuple[str, ...] = get_args(Role)
#: UNKNOWN_TABLE and UNKNOWN_DATABASE: they went away.
_TABLE_IS_MISSING = re.compile(r"\bcode:? (60|81)\b", re.IGNORECASE)


class WheelStore(Protocol):
    """What a training cycle reads. Every method reads the present state; none keeps a cursor."""

    def count_answered(self) -> int:
        """Distinct queries with at least one relevant label."""

    def sampled_queries(self) -> list[SampledQuery]:
        """Queries that were sampled for labels, one per hash, in order of their hash."""

    def grades(self) -> list[Grade]:
        """Every graded row of every role, in order of query, chunk and time."""

    def decoys(self) -> list[Grade]:
        """The graded rows of decoys, of labelers and judges, in the same order."""

    def endorsed(self) -> list[tuple[str, str]]:
        """(query hash, chunk hash) of sampled queries that an answer cited or a user clicked."""

    def logged_rankings(self) -> list[LoggedRanking]:
        """What production returned for sampled queries, the newest of each query and stage."""

    def corpus(self) -> Corpus:
        """All indexes with the build that is searched, or with what was retrieved from them."""

    def judgments(self, query_hashes: Sequence[str]) -> list[Judgment]:
        """What judges said so far about these queries, by any grader and with any status."""

    def last_figures(self) -> list[Figure]:
        """What the last gate measured; empty before the first."""

    def used_gate_queries(self) -> list[GateLook]:
        """Verdicts that looked at held-out queries, oldest first."""

    def forgotten(self) -> Tombstones:
        """What may not be kept; grows in place."""

    def seen_models(self) -> list[SeenModel]:
        """Which models answered queries of which services, what answered last first."""


class WheelReader:
    """A `WheelStore` over one client. Not thread-safe.

    Methods raise UnavailableError when ClickHouse does not answer.
    """

    def __init__(self, client: Client) -> None:
        """Borrows the client; its default database is the wheel's."""
        self._client = client
        self._forgotten = ForgottenReader(client)

    def count_answered(self) -> int:
        """Distinct queries with at least one relevant label."""
        return int(self._rows("count_answered", relevant=RELEVANT_GRADE)[0][0])

    def sampled_queries(self) -> list[SampledQuery]:
        """Queries that were sampled for labels, one per hash, in order of their hash."""
        return [
            SampledQuery(
                query_hash, query, query_id, segment, ts, stratum, probability, searches,
                tuple(shown), first_ts,
            )
            for query_hash, query, query_id, segment, ts, stratum, probability, searches, shown,
            first_ts in self._blocks("sampled_queries", grader=GRADER_SERVICE)
        ]  # fmt: skip

    def grades(self) -> list[Grade]:
        """Every graded row of every role, in order of query, chunk and time."""
        return list(starmap(Grade, self._blocks("grades", roles=list(_EVERY_ROLE))))

    def decoys(self) -> list[Grade]:
        """The graded rows of decoys, of labelers and judges, in the same order."""
        return list(starmap(Grade, self._blocks("grades", roles=["decoy"])))

    def endorsed(self) -> list[tuple[str, str]]:
        """(query hash, chunk hash) of sampled queries that an answer cited or a user clicked."""
        found = self._blocks("endorsed", grader=GRADER_SERVICE)
        return [(query_hash, chunk_hash) for query_hash, chunk_hash in found]

    def logged_rankings(self) -> list[LoggedRanking]:
        """What production returned for sampled queries, the newest of each query and stage."""
        return [
            LoggedRanking(
                query_hash, segment, stage, index, version, model, tuple(hashes), tuple(scores),
                ts, model_id,
            )
            for query_hash, segment, stage, index, version, model, hashes, scores, ts, model_id in (
                self._blocks("logged_rankings", grader=GRADER_SERVICE)
            )
        ]  # fmt: skip

    def corpus(self) -> Corpus:
        """All indexes with the build that is searched, or with what was retrieved from them.

        `indexes` has the rule by which the build is chosen.
        """
        named = [
            Named(segment, index, version, int(count), newest)
            for segment, index, version, count, newest in self._rows(
                "named_indexes", newest=_NEWEST
            )
        ]
        of_segment = index_of_segments(named)
        builds = corpus_builds(self._builds(), named)
        hashes: list[str] = []
        texts: list[str] = []
        slices = []
        for name in sorted({*builds, *of_segment.values()}):
            build = builds.get(name)
            rows = (
                self._blocks("corpus_of_index", name=name, version=build.version)
                if build
                else self._blocks("corpus_of_retrieved", name=name)
            )
            start = len(hashes)
            for chunk_hash, text in rows:
                hashes.append(chunk_hash)
                texts.append(text)
            slices.append(
                IndexSlice(
                    name,
                    build.version if build else "",
                    start,
                    len(hashes),
                    complete=build is not None and build.complete,
                    declared=build.said.about if build and build.said else None,
                )
            )
        return Corpus(tuple(hashes), tuple(texts), tuple(slices), of_segment)

    def judgments(self, query_hashes: Sequence[str]) -> list[Judgment]:
        """What judges said so far about these queries, by any grader and with any status."""
        return [
            Judgment(*row)
            for start in range(0, len(query_hashes), _HASHES_AT_ONCE)
            for row in self._rows(
                "judgments", hashes=list(query_hashes[start : start + _HASHES_AT_ONCE])
            )
        ]

    def last_figures(self) -> list[Figure]:
        """What the last gate measured; empty before the first."""
        return [
            Figure(metric, int(k), segment, system, Interval(value, low, high), int(queries))
            for metric, k, segment, system, value, low, high, queries in self._rows("last_figures")
        ]

    def used_gate_queries(self) -> list[GateLook]:
        """Verdicts that looked at held-out queries, oldest first."""
        return [
            GateLook(event_id, action, ts, frozenset(hashes))
            for event_id, action, ts, hashes in self._blocks("used_gate_queries")
        ]

    def forgotten(self) -> Tombstones:
        """What may not be kept; grows in place."""
        self._forgotten.refresh()
        return self._forgotten.tombstones

    def seen_models(self) -> list[SeenModel]:
        """Which models answered queries of which services, what answered last first."""
        return seen_models(self._client)

    def _builds(self) -> Iterator[Build]:
        said = {
            (index, version): Declaration(
                ts, complete, int(chunks), DeclaredIndex(model, fingerprint, prompt, length)
            )
            for index, version, ts, complete, chunks, model, fingerprint, prompt, length in (
                self._rows("declarations")
            )
        }
        for index, version, came, newest in self._rows("index_builds"):
            yield Build(index, version, int(came), newest, said.get((index, version)))

    def _rows(self, query: str, **parameters: Any) -> Sequence[Sequence[Any]]:
        """All rows of the query in `sql/<query>.sql`."""
        return list(self._blocks(query, **parameters))

    def _blocks(self, query: str, **parameters: Any) -> Iterator[Sequence[Any]]:
        """The same one after the other, in memory by blocks of columns."""
        sql = _SQL.joinpath(f"{query}.sql").read_text("utf-8")
        with (
            _answering(),
            self._client.query_column_block_stream(
                sql, parameters=parameters, tz_mode="aware"
            ) as blocks,
        ):
            for columns in blocks:
                yield from zip(*columns, strict=True)


@contextmanager
def _answering() -> Iterator[None]:
    from clickhouse_connect.driver.exceptions import DatabaseError, OperationalError
    from urllib3.exceptions import HTTPError

    try:
        yield
    except (DatabaseError, HTTPError) as error:
        said = str(error)
        refused = isinstance(error, DatabaseError) and not isinstance(error, OperationalError)
        if refused and not _TABLE_IS_MISSING.search(said):
            raise
        raise UnavailableError(
            f"ClickHouse cannot be read ({said.strip()[:200]}): check that it runs and "
            "RAGWHEEL_CLICKHOUSE_URL; `ragwheel migrate` makes the tables"
        ) from None
