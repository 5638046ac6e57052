"""One batch: the order that makes it safe, refusals, repetitions, counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import pytest
from tests.rigs.examples import HASH, NOW, TEXT, examples, message, query, retrieval
from tests.unit.intake.fakes import POISON, FakeInserts, FakeOutlet, spans_of

from ragwheel.backends.publish import Outgoing
from ragwheel.backends.telemetry import Telemetry
from ragwheel.intake.backoff import Persistence, StopRequestedError
from ragwheel.intake.gauges import Freshness
from ragwheel.intake.inserts import RowsRefusedError
from ragwheel.intake.outlet import OutgoingLetter
from ragwheel.intake.prepare import Acceptance
from ragwheel.intake.processor import Processor
from ragwheel.intake.sampling import SamplingPolicy
from ragwheel.schemas import metrics
from ragwheel.schemas.acceptance import Times
from ragwheel.schemas.errors import UnavailableError
from ragwheel.schemas.events import Candidate
from ragwheel.schemas.tables import Row, Table
from ragwheel.schemas.tombstones import TombstoneKind, tombstone_hash
from ragwheel.schemas.topics import Position, TopicName
from ragwheel.schemas.wire import Received


class World:
    """ClickHouse and Kafka as a diary, with faults on request."""

    def __init__(self, rate: float = 0.0) -> None:
        self.diary: list[str] = []
        self.inserts = FakeInserts(self.diary, self.wait)
        self.outlet = FakeOutlet(self.diary)
        self.stop = False
        self.telemetry = Telemetry()
        self.freshness = Freshness(self.telemetry, lambda: NOW + timedelta(seconds=30))
        self.processor = Processor(
            Acceptance(SamplingPolicy(rate), Times(timedelta(days=400), timedelta(hours=1))),
            self.inserts,
            self.outlet,
            Persistence(self.wait, lambda: 0.0),
            self.telemetry,
            self.freshness,
            lambda: NOW,
        )

    def process(self, messages: Sequence[Received]) -> None:
        self.processor.process(messages, spans_of(messages))

    def wait(self, _: float) -> None:
        self.diary.append("wait")
        if self.stop:
            raise StopRequestedError("stop")

    @property
    def tables(self) -> dict[str, list[Row]]:
        return self.inserts.tables

    @property
    def sent(self) -> list[Outgoing]:
        return self.outlet.sent

    def ids(self, table: str) -> list[Any]:
        return [row[0] for row in self.tables.get(table, [])]

    def value(self, metric: metrics.Metric, **labels: str) -> float:
        return self.telemetry.value(metric, **labels)


def queries(*texts: str) -> list[Received]:
    return [
        message("queries", query(f"q-{n}", text=text), offset=n) for n, text in enumerate(texts)
    ]


def test_rows_come_first_then_jobs_and_letters_then_the_ledger() -> None:
    world = World(rate=1.0)
    bad = Received("queries", 0, 8, b"k", b"{")
    world.process([message("retrievals", retrieval()), bad])
    assert world.diary == ["retrievals", "chunks", "deliver", "ingest_ledger"]
    assert [out.topic for out in world.sent] == ["grading", "deadletters"]


def test_the_ledger_says_what_became_of_each_run_of_offsets() -> None:
    world = World()
    batch = [*queries("a", "b", "c"), message("queries", query(), offset=9, partition=3)]
    batch[1] = Received("queries", 0, 1, b"k", b"{")
    world.process(batch)
    assert [row[:6] for row in world.tables["ingest_ledger"]] == [
        ("", "queries", 0, 0, 3, [1]),
        ("", "queries", 3, 9, 10, []),
    ]


def test_the_ledger_names_the_incarnation_and_what_kafka_left_out() -> None:
    world = World()
    batch = [message("queries", query(f"q-{n}"), offset=n, origin="o-7") for n in (2, 5, 6)]
    world.process(batch)
    assert [row[:-1] for row in world.tables["ingest_ledger"]] == [
        ("o-7", "queries", 0, 2, 7, [], [3], [5], "")
    ]


def test_faults_are_waited_out_and_nothing_is_repeated_that_succeeded() -> None:
    world = World(rate=1.0)
    world.inserts.faults = ["chunks", "chunks", "ingest_ledger"]
    world.outlet.faults = 1
    world.process([message("retrievals", retrieval())])
    assert world.diary == [
        "retrievals", "wait", "wait", "chunks", "wait", "deliver", "wait", "ingest_ledger",
    ]  # fmt: skip


def test_a_batch_that_is_cut_short_leaves_no_ledger_row() -> None:
    world = World()
    world.stop = True
    world.inserts.faults = ["queries"]
    with pytest.raises(StopRequestedError):
        world.process(queries("a"))
    world.outlet.faults = 1
    with pytest.raises(StopRequestedError):
        world.process([Received("queries", 0, 8, b"k", b"{")])
    assert "ingest_ledger" not in world.tables


def test_a_ledger_row_that_cannot_land_ends_the_process_before_the_commit() -> None:
    class RefusingInserts(FakeInserts):
        def land(self, table: Table, rows: Mapping[Position, Sequence[Row]]) -> dict[Position, str]:
            if table.name == "ingest_ledger":
                return dict.fromkeys(rows, "ingest_ledger: no")
            return super().land(table, rows)

    world = World()
    world.processor.inserts = RefusingInserts(world.diary, world.wait)
    with pytest.raises(RowsRefusedError, match="ingest_ledger: no"):
        world.process(queries("a"))


def test_only_the_refused_row_is_dead_lettered_and_its_neighbours_land() -> None:
    world = World()
    world.process(queries("a", "b", POISON, "d", "e"))
    assert set(world.ids("queries")) == {"e-q-0", "e-q-1", "e-q-3", "e-q-4"}
    (out,) = world.sent
    assert isinstance(out, OutgoingLetter)
    assert (out.letter.offset, out.letter.reason) == (2, "processing_failed")
    assert out.letter.payload == queries("a", "b", POISON)[2].value
    assert [row[:6] for row in world.tables["ingest_ledger"]] == [("", "queries", 0, 0, 5, [2])]
    assert world.value(metrics.LANDED, topic="queries") == 4
    assert world.value(metrics.DEAD_LETTERED, topic="queries", reason="processing_failed") == 1


def test_a_text_that_was_left_to_a_refused_message_still_lands() -> None:
    world = World()
    first = message("retrievals", retrieval("q-1", stage=POISON), offset=0)
    second = message("retrievals", retrieval("q-2"), offset=1)
    world.process([first, second])
    assert world.ids("retrievals")[-1] == "r-q-2"
    assert TEXT in [row[1] for row in world.tables["chunks"]]


def test_every_message_is_tried_when_all_are_refused() -> None:
    world = World()
    world.process(queries(*[POISON] * 5))
    assert len(world.sent) == 5
    assert [row[:6] for row in world.tables["ingest_ledger"]] == [
        ("", "queries", 0, 0, 5, [0, 1, 2, 3, 4])
    ]


def test_a_chunk_text_is_inserted_once_however_many_events_carry_it() -> None:
    world = World()
    batch = [message("retrievals", retrieval(f"q-{n}"), offset=n) for n in range(5)]
    world.process(batch)
    world.process([message("retrievals", retrieval("q-9"), offset=9)])
    assert len(world.tables["chunks"]) == 1
    other = retrieval("q-10", candidates=(Candidate(chunk_id="x", rank=1, score=1, text="new"),))
    world.process([message("retrievals", other, offset=10)])
    assert len(world.tables["chunks"]) == 2


def test_a_batch_that_comes_again_after_a_crash_is_the_same_rows() -> None:
    world = World(rate=1.0)
    batch = [message("retrievals", retrieval()), *queries("a", "b")]
    world.process(batch)
    once = {name: list(rows) for name, rows in world.tables.items()}
    world.process(batch)
    assert world.tables == once
    assert set(once) == {"retrievals", "chunks", "queries", "ingest_ledger"}


def test_zero_result_retrievals_land_and_are_counted() -> None:
    world = World(rate=1.0)
    full = message("retrievals", retrieval("q-1"), offset=0)
    empty = message("retrievals", retrieval("q-2", candidates=()), offset=1)
    world.process([full, empty])
    assert len(world.tables["retrievals"]) == 2
    labels = {"segment": "code", "stage": "dense"}
    assert world.value(metrics.RETRIEVALS, **labels) == 2
    assert world.value(metrics.ZERO_RESULTS, **labels) == 1
    assert world.value(metrics.SAMPLED, segment="code") == 1


def test_feedback_and_freshness_are_counted() -> None:
    world = World()
    world.process([message("feedback", examples()["feedback"])])
    assert world.value(metrics.FEEDBACK, segment="code", kind="thumbs_up") == 1
    world.freshness.show()
    assert world.value(metrics.FRESHNESS, topic="feedback") == 30


def test_a_service_that_invents_stages_costs_no_more_than_their_limit() -> None:
    world = World()
    batch = [
        message("retrievals", retrieval(f"q-{n}", stage=f"stage {n}"), offset=n) for n in range(120)
    ]
    world.process(batch)
    other = {"segment": "code", "stage": "other"}
    assert world.value(metrics.RETRIEVALS, **other) == 120 - metrics.MOST_VALUES["stage"]


def test_queries_and_what_retrievals_took_are_counted() -> None:
    world = World()
    world.process([*queries("a", "b"), message("retrievals", retrieval(latency_ms=250.0))])
    assert world.value(metrics.QUERIES, segment="code") == 2
    seconds = world.telemetry.registry.get_sample_value
    assert seconds("ragwheel_retrieval_seconds_sum", {"stage": "dense"}) == 0.25


def forget(world: World, kind: TombstoneKind, value: str) -> None:
    world.processor.rules.forgotten.add(kind, tombstone_hash(kind, value), NOW)


def test_nothing_of_a_forgotten_search_is_stored_or_sent_and_its_offsets_are_covered() -> None:
    world = World(rate=1.0)
    forget(world, "query", "q-1")
    names: list[TopicName] = ["feedback", "grading", "labels", "queries", "retrievals"]
    world.process([message(name, examples()[name], offset=5, origin=name) for name in names])
    assert world.diary == ["ingest_ledger"]
    assert [row[0] for row in world.tables["ingest_ledger"]] == names
    assert [row[3:6] for row in world.tables["ingest_ledger"]] == [(5, 6, [])] * len(names)
    for topic in names:
        assert world.value(metrics.FORGOTTEN, topic=topic) == 1
        assert world.value(metrics.LANDED, topic=topic) == 0


def test_a_search_of_a_forgotten_user_is_remembered_for_what_names_no_user() -> None:
    world = World(rate=1.0)
    forget(world, "user", "u-1")
    world.process([message("queries", query())])
    world.process([message("queries", query()), message("retrievals", retrieval())])
    assert world.tables["forgotten"] == [("query", tombstone_hash("query", "q-1"), NOW)]
    assert world.diary == ["forgotten", "ingest_ledger", "ingest_ledger"]


def test_a_letter_that_would_bring_a_forgotten_search_back_is_not_sent() -> None:
    world = World()
    forget(world, "query", "q-1")
    world.process([Received("queries", 0, n, b"q-%d" % n, b"{") for n in (1, 2)])
    assert [out.key for out in world.sent] == [b"q-2"]
    assert [row[5] for row in world.tables["ingest_ledger"]] == [[2]]


def test_a_forgotten_chunk_leaves_rows_texts_and_jobs() -> None:
    world = World(rate=1.0)
    forget(world, "chunk", HASH)
    world.process([message("retrievals", retrieval()), message("chunks", examples()["chunks"])])
    assert "chunks" not in world.tables
    assert HASH.encode() not in (world.sent[0].value or b"")


def test_a_batch_waits_until_it_is_known_what_is_forgotten() -> None:
    world = World()
    answers = iter([UnavailableError("away"), None])

    def refresh() -> None:
        if (error := next(answers)) is not None:
            raise error
        forget(world, "query", "q-0")

    world.processor.refresh_forgotten = refresh
    world.process(queries("a", "b"))
    assert world.diary == ["wait", "queries", "ingest_ledger"]
    assert world.ids("queries") == ["e-q-1"]
