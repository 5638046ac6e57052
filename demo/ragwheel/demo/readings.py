"""What a run reads back from ClickHouse: the same tables that anybody reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import product
from typing import TYPE_CHECKING, Any

from ragwheel.demo.outcome import METRICS, Comparison, DeadLetterSample, LabelSummary
from ragwheel.measuring.intervals import Interval
from ragwheel.schemas.events import ModelEvent, Role
from ragwheel.schemas.topics import SERVICE_TOPICS, TopicName

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

#: First the topics of service traffic, in the order of `SERVICE_TOPICS`.
_LANDED = """
SELECT
    (SELECT count() FROM v_queries),
    (SELECT count() FROM v_retrievals),
    (SELECT count() FROM v_feedback),
    (SELECT count() FROM v_index_entries) + (SELECT count() FROM v_indexes),
    (SELECT count() FROM v_retrievals WHERE empty(chunk_hashes)),
    (SELECT count() - uniqExact(label_id) FROM v_labels)
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
_DEAD_LETTERS = """
SELECT topic, reason, count(), any(detail)
FROM v_dead_letters
GROUP BY topic, reason
ORDER BY topic, reason
"""
_VERDICT = """
SELECT
    event_id, model_id, incumbent_id, base_model, action, reason, triplets, labels, uri,
    toUnixTimestamp(ts) AS seconds
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
    """Rows as readers see them.

    Attributes:
        rows: per topic of service traffic.
        zero_results: retrievals without a result.
        duplicate_labels: labels that a reader would see twice. Must be 0.
    """

    rows: Mapping[TopicName, int]
    zero_results: int
    duplicate_labels: int


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


class Readings:
    """Questions to ClickHouse. Not thread-safe: one client, one reader."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def landed(self) -> Landed:
        """What there is of service traffic."""
        *counts, zero_results, duplicates = map(int, self._rows(_LANDED)[0])
        return Landed(dict(zip(SERVICE_TOPICS, counts, strict=True)), zero_results, duplicates)

    def jobs(self, role: Role) -> Jobs:
        """What was put to the grader."""
        return Jobs(*map(int, self._rows(_JOBS, role=role)[0]))

    def label_count(self, role: Role) -> int:
        """Labels of any status so far."""
        return int(self._rows(_LABEL_COUNT, role=role)[0][0])

    def labels(self, role: Role) -> LabelSummary:
        """Statuses, grades and cost of one role."""
        rows = self._rows(_LABELS, role=role)
        by_status: Counter[str] = Counter()
        by_grade: Counter[int] = Counter()
        for status, grade, count, *_ in rows:
            by_status[status] += count
            if grade is not None:
                by_grade[int(grade)] += count
        times = [time for row in rows for time in row[4:]]
        return LabelSummary(
            role,
            by_status,
            by_grade,
            cost_usd=sum(float(row[3]) for row in rows),
            cached_pairs=self.jobs(role).asked - sum(by_status.values()),
            seconds=(max(times) - min(times)).total_seconds() if times else 0.0,
        )

    def dead_letters(self) -> tuple[DeadLetterSample, ...]:
        """Counts per topic and reason, with an example."""
        return tuple(DeadLetterSample(*row) for row in self._rows(_DEAD_LETTERS))

    def verdict(self) -> ModelEvent | None:
        """The first verdict of the trainer, None while there is none."""
        for row in self._client.query(_VERDICT).named_results():
            at = datetime.fromtimestamp(row.pop("seconds"), UTC)
            return ModelEvent(**row, ts=at)
        return None

    def comparisons(self, event_id: str) -> tuple[Comparison, ...]:
        """Before and after of one verdict."""
        return pivot(self._rows(_METRICS, event=event_id))

    def _rows(self, sql: str, **parameters: object) -> Sequence[Sequence[Any]]:
        return self._client.query(sql, parameters=parameters).result_rows


def pivot(rows: Sequence[Sequence[Any]]) -> tuple[Comparison, ...]:
    """Rows of `v_model_metrics` by segment, without what lacks one of the three systems."""
    cells = {
        (metric, k, segment, system): (Interval(*interval), queries)
        for metric, k, segment, system, *interval, queries in rows
    }
    found = []
    for segment, (metric, k) in product(sorted({segment for _, _, segment, _ in cells}), METRICS):
        keys = [(metric, k, segment, system) for system in ("incumbent", "candidate", "delta")]
        if cells.keys() >= set(keys):
            (before, _), (after, _), (delta, queries) = (cells[key] for key in keys)
            found.append(Comparison(metric, k, segment, before, after, delta, queries))
    return tuple(found)
