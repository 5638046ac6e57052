"""What a run reads back from ClickHouse: the same tables that anybody reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ragwheel.demo.result import (
    Comparison,
    DeadLetterSample,
    Interval,
    LabelSummary,
    Verdict,
)
from ragwheel.schemas.events import Role

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

_RELEVANT_GRADE = 2

_LANDED = """
SELECT
    (SELECT count() FROM v_queries),
    (SELECT count() FROM v_retrievals),
    (SELECT count() FROM v_feedback),
    (SELECT count() FROM v_index_entries),
    (SELECT count() FROM v_retrievals WHERE empty(chunk_hashes))
"""
_JOBS = """
SELECT uniqExact(job_id), uniqExact(query_hash), uniqExact(query_hash, chunk_hash), count()
FROM
(
    SELECT job_id, query_hash, arrayJoin(chunk_hashes) AS chunk_hash
    FROM v_grading_jobs
    WHERE role = {role:String}
)
"""
_LABEL_COUNT = "SELECT uniqExact(label_id) FROM labels WHERE role = {role:String}"
_LABELS = """
SELECT status, grade, count(), sum(cost_usd), min(graded_at), max(graded_at)
FROM v_labels
WHERE role = {role:String}
GROUP BY status, grade
"""
_RELEVANT = """
SELECT uniqExact(query_hash)
FROM v_labels
WHERE role = 'label' AND status = 'graded' AND grade >= {grade:UInt8}
"""
_DEAD_LETTERS = """
SELECT topic, reason, count(), any(detail)
FROM v_dead_letters
GROUP BY topic, reason
ORDER BY topic, reason
"""
_DUPLICATE_LABELS = "SELECT count() - uniqExact(label_id) FROM v_labels"
_MODEL = """
SELECT event_id, action, reason, model_id, incumbent_id, triplets, labels, uri
FROM v_models
WHERE action IN ('promoted', 'shadow', 'refused')
ORDER BY ts
LIMIT 1
"""
_METRICS = """
SELECT metric, k, segment, system, value, ci_low, ci_high, queries
FROM v_model_metrics
WHERE event_id = {event:String}
"""


@dataclass(frozen=True, slots=True)
class Landed:
    """Rows as readers see them."""

    queries: int
    retrievals: int
    feedback: int
    chunks: int
    zero_results: int


@dataclass(frozen=True, slots=True)
class Jobs:
    """The sample of one role.

    Attributes:
        pairs: different (query, chunk) pairs.
        asked: pairs of all jobs, repeats included.
    """

    jobs: int
    queries: int
    pairs: int
    asked: int


@dataclass(frozen=True, slots=True)
class Decision:
    """The first verdict of the trainer, and where its model lies."""

    event_id: str
    verdict: Verdict
    uri: str


class Readings:
    """Questions to ClickHouse. Not thread-safe: one client, one reader."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def landed(self) -> Landed:
        """How many rows of service traffic there are."""
        return Landed(*map(int, self._rows(_LANDED)[0]))

    def jobs(self, role: Role) -> Jobs:
        """What was put to the grader."""
        return Jobs(*map(int, self._rows(_JOBS, role=role)[0]))

    def label_count(self, role: Role) -> int:
        """Labels of any status so far."""
        return int(self._rows(_LABEL_COUNT, role=role)[0][0])

    def relevant_queries(self) -> int:
        """Queries with at least one chunk graded relevant."""
        return int(self._rows(_RELEVANT, grade=_RELEVANT_GRADE)[0][0])

    def duplicate_labels(self) -> int:
        """Labels that a reader would see twice. Must be 0."""
        return int(self._rows(_DUPLICATE_LABELS)[0][0])

    def labels(self, role: Role) -> LabelSummary:
        """Statuses, grades and cost of one role."""
        rows = self._rows(_LABELS, role=role)
        by_status: dict[str, int] = {}
        by_grade: dict[int, int] = {}
        for status, grade, count, *_ in rows:
            by_status[status] = by_status.get(status, 0) + count
            if grade is not None:
                by_grade[int(grade)] = by_grade.get(int(grade), 0) + count
        began = min((row[4] for row in rows), default=None)
        ended = max((row[5] for row in rows), default=None)
        return LabelSummary(
            role,
            by_status,
            by_grade,
            cost_usd=sum(float(row[3]) for row in rows),
            cached_pairs=self.jobs(role).asked - sum(by_status.values()),
            seconds=(ended - began).total_seconds() if began and ended else 0.0,
        )

    def dead_letters(self) -> tuple[DeadLetterSample, ...]:
        """Counts per topic and reason, with an example."""
        return tuple(DeadLetterSample(*row) for row in self._rows(_DEAD_LETTERS))

    def decision(self) -> Decision | None:
        """The first verdict, None while there is none."""
        rows = self._rows(_MODEL)
        if not rows:
            return None
        event_id, action, reason, model_id, incumbent_id, triplets, labels, uri = rows[0]
        held_out = max((row.queries for row in self.comparisons(event_id)), default=0)
        verdict = Verdict(action, reason, model_id, incumbent_id, triplets, labels, held_out)
        return Decision(event_id, verdict, uri)

    def comparisons(self, event_id: str) -> tuple[Comparison, ...]:
        """Before and after of one verdict."""
        return pivot(self._rows(_METRICS, event=event_id))

    def _rows(self, sql: str, **parameters: object) -> Sequence[Sequence[Any]]:
        return self._client.query(sql, parameters=parameters).result_rows


#: What the table of a run shows, in its order.
SHOWN = (("recall", 1), ("recall", 5), ("recall", 10), ("mrr", 10))


def pivot(rows: Sequence[Sequence[Any]]) -> tuple[Comparison, ...]:
    """Rows of `v_model_metrics` as comparisons; what has no three systems is left out."""
    cells: dict[tuple[str, int, str], dict[str, tuple[Interval, int]]] = {}
    for metric, k, segment, system, value, low, high, queries in rows:
        cells.setdefault((metric, int(k), segment), {})[system] = (
            Interval(float(value), float(low), float(high)),
            int(queries),
        )
    found = []
    for segment in sorted({segment for _, _, segment in cells}):
        for metric, k in SHOWN:
            systems = cells.get((metric, k, segment), {})
            if {"incumbent", "candidate", "delta"} <= systems.keys():
                found.append(
                    Comparison(
                        metric,
                        k,
                        segment,
                        before=systems["incumbent"][0],
                        after=systems["candidate"][0],
                        delta=systems["delta"][0],
                        queries=systems["delta"][1],
                    )
                )
    return tuple(found)
