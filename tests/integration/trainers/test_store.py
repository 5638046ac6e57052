"""What the trainer reads from a real ClickHouse: deduplicated, of the right role, of one index."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from tests.rigs.examples import examples

from ragwheel.backends.clickhouse import connect
from ragwheel.backends.migrate import migrate
from ragwheel.schemas import identity
from ragwheel.schemas.errors import UnavailableError
from ragwheel.schemas.events import ChunkEvent, GradingJob, JobCandidate, Label, ModelEvent, Record
from ragwheel.schemas.settings import ClickHouseSettings
from ragwheel.schemas.tables import rows_of
from ragwheel.schemas.topics import Position
from ragwheel.trainers.data.store import WheelReader

pytestmark = pytest.mark.integration

NOW = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)


class Database:
    """A migrated database that rows are put into as intake does."""

    def __init__(self, settings: ClickHouseSettings) -> None:
        self.client = connect(settings, create_database=True)
        migrate(self.client, replicated=False)
        self.store = WheelReader(self.client)

    def land(self, records: Iterable[Record]) -> None:
        for record in records:
            for table, row in rows_of(record, Position("queries", 0, 0)):
                self.client.insert(table.name, [row], column_names=table.columns)


@pytest.fixture
def database_of_test(clickhouse_settings: ClickHouseSettings) -> Iterator[Database]:
    made = Database(clickhouse_settings)
    yield made
    made.client.close()


def chunk(number: int) -> str:
    return identity.content_hash(f"text {number}")


def job(query: str, chunks: Iterable[int], *, role: str = "label", minute: int = 0) -> GradingJob:
    return GradingJob(
        job_id=identity.job_id(f"{query} {minute}", role),
        role=role,  # type: ignore[arg-type]
        query_id=f"{query} at {minute}",
        query=query,
        query_hash=identity.query_hash(query),
        segment="code",
        ts=NOW + timedelta(minutes=minute),
        stratum="code",
        inclusion_probability=0.5,
        candidates=tuple(JobCandidate(chunk_hash=chunk(each)) for each in chunks),
    )


def label(
    query: str,
    number: int,
    grade: int | None,
    *,
    role: str = "label",
    grader: str = "labeler@1",
    minute: int = 0,
) -> Label:
    query_hash = identity.query_hash(query)
    return Label(
        label_id=identity.label_id(query_hash, chunk(number), "r1", grader, role),
        job_id=identity.job_id(query, role),
        role=role,  # type: ignore[arg-type]
        query_id=query,
        query=query,
        query_hash=query_hash,
        segment="code",
        chunk_hash=chunk(number),
        status="failed" if grade is None else "graded",
        grade=grade,  # type: ignore[arg-type]
        grader_id=grader,
        model=grader,
        rubric_version="r1",
        prompt_hash="p",
        stratum="code",
        inclusion_probability=0.5,
        ts=NOW,
        graded_at=NOW + timedelta(minutes=minute),
    )


def test_an_empty_database_is_no_data(database_of_test: Database) -> None:
    store = database_of_test.store
    assert store.count_answered() == 0
    assert store.sampled_queries() == []
    assert store.labels() == store.judge_grades() == []
    assert store.corpus().chunk_hashes == ()
    assert store.judgments([identity.query_hash("anything")]) == []


def test_a_database_without_tables_is_an_outage_and_not_a_crash(
    clickhouse_settings: ClickHouseSettings,
) -> None:
    client = connect(clickhouse_settings, create_database=True)
    with pytest.raises(UnavailableError, match="`ragwheel migrate` makes the tables"):
        WheelReader(client).count_answered()
    client.close()


def test_answered_queries_are_counted_once_and_by_training_grades_only(
    database_of_test: Database,
) -> None:
    database_of_test.land(
        [
            label("a", 1, 3), label("a", 1, 3), label("a", 2, 2), label("b", 1, 1),
            label("c", 1, None), label("d", 1, 3, role="judge", grader="judge@1"), label("e", 1, 2),
        ]
    )  # fmt: skip
    assert database_of_test.store.count_answered() == 2


def test_one_query_is_sampled_once_with_everything_that_was_shown(
    database_of_test: Database,
) -> None:
    database_of_test.land(
        [job("a", [1, 2]), job("a", [2, 3], minute=5), job("a", [9], role="judge", minute=9)]
    )
    [found] = database_of_test.store.sampled_queries()
    assert (found.query, found.query_id, found.segment) == ("a", "a at 5", "code")
    assert found.shown == tuple(sorted(chunk(each) for each in (1, 2, 3)))
    assert found.ts == NOW + timedelta(minutes=5)
    assert found.inclusion_probability == 0.5


def test_a_query_whose_job_expired_is_known_by_its_labels(database_of_test: Database) -> None:
    database_of_test.land([label("a", 1, 3), label("a", 2, None), label("b", 1, 3, role="judge")])
    [found] = database_of_test.store.sampled_queries()
    assert (found.query, found.shown) == ("a", tuple(sorted([chunk(1), chunk(2)])))


def test_failed_pairs_have_no_grade_and_the_newest_grader_wins(database_of_test: Database) -> None:
    database_of_test.land(
        [
            label("a", 1, 0), label("a", 1, 3, grader="labeler@2", minute=3), label("a", 2, None),
            label("a", 3, 1, role="judge", grader="judge@1"),
        ]
    )  # fmt: skip
    [found] = database_of_test.store.labels()
    assert (found.chunk_hash, found.grade, found.grader_id) == (chunk(1), 3, "labeler@2")
    [judged] = database_of_test.store.judge_grades()
    assert (judged.chunk_hash, judged.grade) == (chunk(3), 1)


def test_the_corpus_is_the_newest_index_sorted_by_hash(database_of_test: Database) -> None:
    old = [
        ChunkEvent(chunk_id=f"c{n}", text=f"text {n}", ts=NOW, index_version="v1") for n in (1, 2)
    ]
    later = NOW + timedelta(minutes=1)
    new = [
        ChunkEvent(chunk_id=f"c{n}", text=f"text {n}", ts=later, index_version="v2") for n in (2, 3)
    ]
    database_of_test.land([*old, *new, *new])
    corpus = database_of_test.store.corpus()
    assert corpus.index_version == "v2"
    assert corpus.chunk_hashes == tuple(sorted([chunk(2), chunk(3)]))
    assert [identity.content_hash(text) for text in corpus.texts] == list(corpus.chunk_hashes)


def test_judgments_are_read_for_many_queries_with_every_status(database_of_test: Database) -> None:
    names = [f"query {number}" for number in range(400)]
    database_of_test.land(
        [
            label("query 0", 1, 3, role="judge", grader="judge@1"),
            label("query 399", 1, None, role="judge", grader="judge@1"),
            label("query 7", 1, 3),
        ]
    )
    found = database_of_test.store.judgments([identity.query_hash(name) for name in names])
    assert sorted((each.status, each.grade) for each in found) == [("failed", None), ("graded", 3)]


def test_the_figures_of_the_last_gate_are_read_back(database_of_test: Database) -> None:
    assert database_of_test.store.last_figures() == []
    last = examples()["models"]
    assert isinstance(last, ModelEvent)
    older = last.model_copy(update={"event_id": "e" * 32, "ts": last.ts - timedelta(days=1)})
    rolled_back = last.model_copy(
        update={"event_id": "f" * 32, "action": "rolled_back", "metrics": (),
                "ts": last.ts + timedelta(days=1)}
    )  # fmt: skip
    other = older.metrics[0].model_copy(update={"value": 0.7})
    database_of_test.land([last, older.model_copy(update={"metrics": (other,)}), rolled_back])
    (figure,) = database_of_test.store.last_figures()
    assert (figure.metric, figure.k, figure.segment, figure.system) == ("recall", 10, "*", "delta")
    assert (figure.interval.value, figure.interval.low, figure.queries) == (0.1, 0.05, 300)
