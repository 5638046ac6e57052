"""What the trainer reads from a real ClickHouse: deduplicated, of the right role, of one index."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.rigs.examples import examples, retrieval

from ragwheel.backends.clickhouse import connect
from ragwheel.backends.migrate import migrate
from ragwheel.schemas import identity, wire
from ragwheel.schemas.errors import UnavailableError
from ragwheel.schemas.events import (
    Candidate,
    ChunkEvent,
    FeedbackEvent,
    GradingJob,
    IndexEvent,
    JobCandidate,
    Label,
    ModelEvent,
    Record,
    RetrievalEvent,
)
from ragwheel.schemas.limits import MAX_EVENT_BYTES, MAX_GATE_QUERIES
from ragwheel.schemas.settings import ClickHouseSettings
from ragwheel.schemas.tables import GATE_QUERIES, rows_of
from ragwheel.schemas.topics import Position
from ragwheel.trainers.data.records import Corpus, DeclaredIndex, GateLook
from ragwheel.trainers.data.store import WheelReader

pytestmark = pytest.mark.integration

AT = Position("queries", 0, 0)
NOW = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)


class Database:
    """A migrated database that rows are put into as intake does."""

    def __init__(self, settings: ClickHouseSettings) -> None:
        self.client = connect(settings, create_database=True)
        migrate(self.client, replicated=False)
        self.store = WheelReader(self.client)

    def land(self, records: Iterable[Record]) -> None:
        for record in records:
            for table, row in rows_of(record, AT):
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
    assert store.grades() == []
    assert store.endorsed() == []
    assert store.logged_rankings() == []
    assert store.corpus() == Corpus((), ())
    assert store.used_gate_queries() == []
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
    assert found.inclusion_probability == 0.75  # of two searches that are drawn with 0.5


def test_a_query_whose_job_expired_is_known_by_its_labels(database_of_test: Database) -> None:
    database_of_test.land([label("a", 1, 3), label("a", 2, None), label("b", 1, 3, role="judge")])
    [found] = database_of_test.store.sampled_queries()
    assert (found.query, found.shown) == ("a", tuple(sorted([chunk(1), chunk(2)])))


def test_every_grade_of_every_role_is_read_and_no_failure(database_of_test: Database) -> None:
    database_of_test.land(
        [
            label("a", 1, 0), label("a", 1, 3, grader="labeler@2", minute=3), label("a", 2, None),
            label("a", 3, 1, role="judge", grader="judge@1"), label("a", 4, 2, role="decoy"),
            label("a", 1, 2, role="second"),
            label("b", 1, 3, grader="person:x").model_copy(update={"source": "person"}),
        ]
    )  # fmt: skip
    found = database_of_test.store.grades()
    assert [each for each in found if each.role == "decoy"] == database_of_test.store.decoys()
    assert [(each.query_hash, each.chunk_hash) for each in found] == sorted(
        (each.query_hash, each.chunk_hash) for each in found
    )
    shown = {
        (each.chunk_hash, each.grade, each.role, each.grader_id, each.source) for each in found
    }
    assert shown == {
        (chunk(1), 0, "label", "labeler@1", "llm"), (chunk(1), 3, "label", "labeler@2", "llm"),
        (chunk(3), 1, "judge", "judge@1", "llm"), (chunk(4), 2, "decoy", "labeler@1", "llm"),
        (chunk(1), 2, "second", "labeler@1", "llm"), (chunk(1), 3, "label", "person:x", "person"),
    }  # fmt: skip
    newest = max(found, key=lambda each: each.graded_at)
    assert (newest.graded_at, newest.rubric_version) == (NOW + timedelta(minutes=3), "r1")


def chunks(
    numbers: Iterable[int], version: str, *, index: str = "docs", minute: int = 0, **said: Any
) -> list[Record]:
    return [
        ChunkEvent(
            chunk_id=f"c{number}", text=f"text {number}", ts=NOW + timedelta(minutes=minute),
            index=index, index_version=version, **said,
        )
        for number in numbers
    ]  # fmt: skip


def declared(version: str, count: int, *, index: str = "docs", minute: int = 0) -> IndexEvent:
    return IndexEvent(
        index=index, index_version=version, ts=NOW + timedelta(minutes=minute), complete=True,
        chunks=count, embedding_model="e5", document_fingerprint="f", prompt="passage: ",
        max_seq_length=512,
    )  # fmt: skip


def search(
    query: str, candidates: Iterable[int] = (1,), *, number: int = 0, minute: int = 0, **said: Any
) -> RetrievalEvent:
    return RetrievalEvent(
        event_id=f"{query} {number} {minute}", query_id=f"{query}-{number}", query=query,
        ts=NOW + timedelta(minutes=minute),
        candidates=tuple(
            Candidate(chunk_id=f"c{each}", rank=rank, score=1 / rank, text=f"text {each}")
            for rank, each in enumerate(candidates, 1)
        ),
        **said,
    )  # fmt: skip


def contents(corpus: Corpus, index: str) -> tuple[str, set[str]]:
    """Version and texts of an index."""
    (of,) = (each for each in corpus.indexes if each.name == index)
    assert list(corpus.chunk_hashes[of.start : of.stop]) == sorted(
        corpus.chunk_hashes[of.start : of.stop]
    )
    return of.version, set(corpus.texts[of.start : of.stop])


def texts(*numbers: int) -> set[str]:
    return {f"text {each}" for each in numbers}


def test_a_build_under_way_is_not_the_corpus_until_it_is_complete(
    database_of_test: Database,
) -> None:
    store, land = database_of_test.store, database_of_test.land
    land([*chunks([1, 2], "v1"), declared("v1", 2)])
    land([*chunks([2, 3], "v2", minute=5), declared("v2", 3, minute=6)])
    assert contents(store.corpus(), "docs") == ("v1", texts(1, 2))
    land(chunks([4, 4], "v2", minute=7))
    assert contents(store.corpus(), "docs") == ("v2", texts(2, 3, 4))
    (of,) = store.corpus().indexes
    assert (of.complete, of.declared) == (True, DeclaredIndex("e5", "f", "passage: ", 512))
    land([declared("v1", 2, minute=9)])
    assert contents(store.corpus(), "docs")[0] == "v1"


def test_without_a_declaration_the_build_that_searches_name_is_the_corpus(
    database_of_test: Database,
) -> None:
    store, land = database_of_test.store, database_of_test.land
    land([*chunks([1, 2], "v1"), *chunks([3], "v2", minute=5)])
    assert contents(store.corpus(), "docs") == ("v2", texts(3))
    land([search(f"q{each}", index="docs", index_version="v1") for each in range(3)])
    land([search("trial", index="docs", index_version="v2", minute=9)])
    assert contents(store.corpus(), "docs") == ("v1", texts(1, 2))
    (of,) = store.corpus().indexes
    assert (of.complete, of.declared) == (False, None)


def test_two_indexes_stay_side_by_side_with_their_labels(database_of_test: Database) -> None:
    store, land = database_of_test.store, database_of_test.land
    land([*chunks([1, 2], "v1", index="a"), *chunks([2, 3], "v9", index="b", minute=5)])
    land([search("one", index="a", segment="left"), search("two", index="b", segment="right")])
    land([label("one", 1, 3), label("two", 3, 3)])
    corpus = store.corpus()
    assert contents(corpus, "a") == ("v1", texts(1, 2))
    assert contents(corpus, "b") == ("v9", texts(2, 3))
    assert len(corpus.chunk_hashes) == 4  # a chunk of both has a row in each
    assert corpus.row_of("left", chunk(3)) is corpus.row_of("right", chunk(1)) is None
    for segment, number in (("left", 1), ("left", 2), ("right", 2), ("right", 3)):
        row = corpus.row_of(segment, chunk(number))
        assert row is not None
        assert corpus.texts[row] == f"text {number}"
    assert {each.chunk_hash for each in store.grades()} == {chunk(1), chunk(3)}


def test_the_newest_content_of_a_chunk_wins_and_a_deleted_one_is_gone(
    database_of_test: Database,
) -> None:
    store, land = database_of_test.store, database_of_test.land
    land([*chunks([1, 2, 3], "v1"), declared("v1", 3), label("a", 2, 3)])
    gone = ChunkEvent(
        chunk_id="c1", ts=NOW + timedelta(minutes=1), index="docs", index_version="v1", deleted=True
    )
    land([gone, *chunks([3], "v1", minute=2, deleted=True)])
    edited = {"chunk_id": "c2", "text": "another", "content_hash": ""}
    [second] = chunks([2], "v1", minute=3)
    land([ChunkEvent.model_validate(second.model_dump() | edited)])
    assert contents(store.corpus(), "docs") == ("v1", {"another"})
    assert store.corpus().indexes[0].complete  # what is deleted since is not missing
    assert [each.chunk_hash for each in store.grades()] == [chunk(2)]  # of the old text
    land(chunks([1], "v1", minute=4))
    assert contents(store.corpus(), "docs") == ("v1", {"another", "text 1"})


def test_an_index_whose_chunks_nobody_sends_is_what_was_retrieved_from_it(
    database_of_test: Database,
) -> None:
    store, land = database_of_test.store, database_of_test.land
    land([*chunks([1], "v1", index="sent"), search("q", [1], index="sent", segment="s")])
    land([search("p", [5, 6], index="logged", segment="t"), search("r", [6, 7], segment="u")])
    corpus = store.corpus()
    assert contents(corpus, "sent") == ("v1", texts(1))
    assert contents(corpus, "logged") == ("", texts(5, 6))
    assert contents(corpus, "") == ("", texts(6, 7))
    assert corpus.index_of_segment == {"s": "sent", "t": "logged", "u": ""}
    assert corpus.slice_of("never seen").stop == 0


def test_a_query_has_the_probability_that_any_of_its_searches_is_drawn(
    database_of_test: Database,
) -> None:
    """T8: a segment at 2 % and one at 100 %; each query was searched several times."""
    rare: dict[str, Any] = {"segment": "rare"}
    sure: dict[str, Any] = {"segment": "sure"}

    def drawn(query: str, number: int, segment: str, probability: float) -> GradingJob:
        return job(query, [1]).model_copy(
            update={
                "job_id": identity.job_id(f"{query}-{number}", "label"), "segment": segment,
                "query_id": f"{query}-{number}", "stratum": segment,
                "inclusion_probability": probability,
            }
        )  # fmt: skip

    database_of_test.land(
        [
            drawn("a", 0, "rare", 0.02), drawn("b", 0, "sure", 1.0), drawn("c", 0, "rare", 0.02),
            # Two stages of one search are one; a search without results cannot be drawn.
            *(search("a", number=each, minute=each, stage=stage, **rare)
              for each in range(5) for stage in ("dense", "rerank")),
            search("a", [], number=9, **rare), search("b", number=0, **sure),
            search("c", number=0, **rare), search("c", number=1, segment="never drawn"),
            search("c", number=2, service="ragwheel-grader-1", **rare),
            search("never drawn", **rare),
        ]
    )  # fmt: skip
    found = {each.query: each for each in database_of_test.store.sampled_queries()}
    assert found.keys() == {"a", "b", "c"}
    assert (found["a"].searches, found["b"].searches, found["c"].searches) == (5, 1, 2)
    assert found["a"].inclusion_probability == pytest.approx(1 - 0.98**5)
    assert found["b"].inclusion_probability == 1.0
    assert found["c"].inclusion_probability == pytest.approx(0.02)
    assert found["a"].first_ts == NOW
    # Weighted, the rare segment has as many searches as it had; unweighted it vanishes.
    assert 1 / found["c"].inclusion_probability == pytest.approx(50)


def test_the_newest_ranking_of_each_stage_is_read_for_sampled_queries(
    database_of_test: Database,
) -> None:
    of: dict[str, Any] = {
        "index": "docs", "index_version": "v1", "embedding_model": "e5", "segment": "code",
        "model_id": "m1",
    }  # fmt: skip
    database_of_test.land(
        [
            job("a", [1]), search("a", [2], **of), search("a", [3, 1], minute=4, **of),
            search("a", [], minute=2, stage="rerank", **of), search("b", [1], **of),
        ]
    )  # fmt: skip
    dense, rerank = database_of_test.store.logged_rankings()
    assert (dense.stage, rerank.stage, rerank.chunk_hashes) == ("dense", "rerank", ())
    assert dense.chunk_hashes == (chunk(3), chunk(1))
    assert dense.scores == (1.0, 0.5)
    assert (dense.index, dense.index_version, dense.embedding_model) == ("docs", "v1", "e5")
    assert (dense.segment, dense.ts) == ("code", NOW + timedelta(minutes=4))
    assert dense.model_id == "m1"


def test_which_models_answered_is_read_by_service_with_the_latest_first(
    database_of_test: Database,
) -> None:
    said = [("shop", "m1", 0), ("shop", "m1", 2), ("wiki", "m1", 1), ("shop", "m2", 3)]
    database_of_test.land(
        retrieval(f"q{hours}{service}", ts=NOW - timedelta(hours=9 - hours), service=service,
                  model_id=model_id, document_fingerprint="f")
        for service, model_id, hours in said
    )  # fmt: skip
    database_of_test.land([retrieval("silent", model_id="")])
    found = database_of_test.store.seen_models()
    assert [(each.service, each.model_id, each.retrievals) for each in found] == [
        ("shop", "m2", 1), ("shop", "m1", 2), ("wiki", "m1", 1),
    ]  # fmt: skip
    assert found[1].since == NOW - timedelta(hours=9)
    assert found[1].until == NOW - timedelta(hours=7)


def test_every_verdict_that_looked_at_gate_queries_is_read_once_oldest_first(
    database_of_test: Database,
) -> None:
    event = examples()["models"]
    assert isinstance(event, ModelEvent)
    (first,) = event.gate_query_hashes
    hour = timedelta(hours=1)
    other = {
        "event_id": "a" * 32, "gate_query_hashes": (first, "f" * 32), "action": "refused",
        "ts": event.ts + hour,
    }  # fmt: skip
    unjudged = {"event_id": "b" * 32, "gate_query_hashes": (), "action": "refused"}
    database_of_test.land(
        [event.model_copy(update=other), event, event, event.model_copy(update=unjudged)]
    )
    assert database_of_test.store.used_gate_queries() == [
        GateLook(event.event_id, "promoted", event.ts, frozenset({first})),
        GateLook("a" * 32, "refused", event.ts + hour, frozenset({first, "f" * 32})),
    ]


def test_the_hashes_of_the_largest_gate_fit_into_one_event_and_are_read_in_time(
    database_of_test: Database,
) -> None:
    event = examples()["models"]
    assert isinstance(event, ModelEvent)
    hashes = tuple(identity.query_hash(str(each)) for each in range(MAX_GATE_QUERIES))
    event = event.model_copy(update={"gate_query_hashes": hashes})
    assert len(wire.encode(event)) < MAX_EVENT_BYTES * 0.75  # the rest is for its metrics
    rows = [row for table, row in rows_of(event, AT) if table is GATE_QUERIES]
    client = database_of_test.client
    client.insert(GATE_QUERIES.name, rows, column_names=GATE_QUERIES.columns)
    database_of_test.land([event.model_copy(update={"gate_query_hashes": ()})])
    (look,) = database_of_test.store.used_gate_queries()
    assert look.query_hashes == set(hashes)


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
    unjudged = rolled_back.model_copy(
        update={"event_id": "d" * 32, "action": "refused", "ts": last.ts + timedelta(days=2)}
    )
    database_of_test.land(
        [last, older.model_copy(update={"metrics": (other,)}), rolled_back, unjudged]
    )
    (figure,) = database_of_test.store.last_figures()
    assert (figure.metric, figure.k, figure.segment, figure.system) == ("recall", 10, "*", "delta")
    assert (figure.interval.value, figure.interval.low, figure.queries) == (0.1, 0.05, 300)


def test_citations_and_clicks_are_of_the_text_that_their_search_returned(
    database_of_test: Database,
) -> None:
    def said(kind: str, number: int, query_id: str = "a-0", value: float = 1.0) -> FeedbackEvent:
        return FeedbackEvent(
            event_id=f"{kind} {number} {query_id}", query_id=query_id, chunk_id=f"c{number}",
            kind=kind, value=value, ts=NOW,  # type: ignore[arg-type]
        )  # fmt: skip

    database_of_test.land([
        job("a", [1, 2, 3, 4]), search("a", (1, 2, 3, 4)), search("unsampled", (1,)),
        said("cited", 1), said("clicked", 1), said("clicked", 2), said("thumbs_up", 3),
        said("clicked", 4, value=0.0), said("cited", 9), said("cited", 1, "unsampled-0"),
    ])  # fmt: skip
    of = identity.query_hash("a")
    assert database_of_test.store.endorsed() == sorted((of, chunk(each)) for each in (1, 2))
