"""The grader and ClickHouse: texts come from there, and what is graded is not paid for again."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client
from tests.rigs.grading import Rig, job, pairs, running_llm, wait_until

from ragwheel.backends import kafka
from ragwheel.backends.clickhouse import connect
from ragwheel.backends.forgotten import REFRESH_S
from ragwheel.backends.migrate import migrate
from ragwheel.grading.store import LabelReader
from ragwheel.schemas import identity, tables
from ragwheel.schemas.events import (
    Candidate,
    ChunkEvent,
    GradingJob,
    Label,
    Record,
    RetrievalEvent,
)
from ragwheel.schemas.loading import load
from ragwheel.schemas.settings import ClickHouseSettings, KafkaSettings
from ragwheel.schemas.tombstones import tombstone_hash
from ragwheel.schemas.topics import Position

pytestmark = [pytest.mark.integration, pytest.mark.spread]


@pytest.fixture
def client(clickhouse_settings: ClickHouseSettings) -> Iterator[Client]:
    opened = connect(clickhouse_settings, create_database=True)
    migrate(opened)
    yield opened
    opened.close()


@pytest.fixture
def rig(
    kafka_settings: KafkaSettings, clickhouse_settings: ClickHouseSettings, tmp_path: Path
) -> Iterator[Rig]:
    kafka.create_topics(kafka_settings)
    with running_llm(tmp_path) as llm:
        url = {"RAGWHEEL_CLICKHOUSE_URL": clickhouse_settings.clickhouse_url.get_secret_value()}
        made = Rig(kafka_settings, llm, tmp_path, url)
        yield made
        for grader in made.graders:
            grader.end()


def _land_chunks(client: Client, jobs: list[GradingJob]) -> None:
    texts = {each.chunk_hash: each.text for asked in jobs for each in asked.candidates}
    at = datetime(2026, 11, 23)  # noqa: DTZ001 - ClickHouse column in UTC
    listed = [(bytes.fromhex(chunk_hash), text, at) for chunk_hash, text in texts.items()]
    client.insert("chunks", listed, column_names=["chunk_hash", "text", "ts"])


def _land_labels(client: Client, labels: list[Label]) -> None:
    made = (tables.rows_of(label, Position("labels", 0, 0)) for label in labels)
    listed = [row for rows in made for table, row in rows if table is tables.LABELS]
    client.insert("labels", listed, column_names=tables.LABELS.columns)


def test_texts_come_from_clickhouse_and_landed_labels_are_not_paid_for_again(
    rig: Rig, client: Client
) -> None:
    full = [job(number) for number in range(6)]
    bare = [job(number, texts=False) for number in range(6)]
    _land_chunks(client, full)
    rig.send(bare)
    first = rig.grader()
    first.start()
    with rig.reading("labels") as reader:
        wait_until(lambda: reader.label_count() == 120, "120 labels")
        assert first.terminate() == 0
        labels = reader.labels()
        truth = pairs(full)
        assert {(each.query_hash, each.chunk_hash): each.grade for each in labels} == truth

        _land_labels(client, labels)
        asked = rig.llm.ledger()["requests"]
        rig.send(bare)
        second = rig.grader()
        second.start()
        wait_until(lambda: reader.message_count() >= 240, "240 label messages")
        wait_until(lambda: rig.lag() == 0, "all jobs acknowledged")
        assert second.terminate() == 0
        again = reader.labels()[120:]
    assert rig.llm.ledger()["requests"] == asked
    assert {(each.query_hash, each.chunk_hash): each.grade for each in again} == truth
    assert sum(each.cost_usd for each in again) == 0


def test_a_chunk_that_lands_after_its_job_is_waited_for(rig: Rig, client: Client) -> None:
    late = job(1)
    rig.send([job(1, texts=False)])
    grader = rig.grader()
    grader.start()
    # It listens: members exist. Then the chunks land.
    wait_until(lambda: len(rig.members()) == 1, "the grader has joined")
    _land_chunks(client, [late])
    with rig.reading("labels") as reader:
        wait_until(lambda: reader.label_count() == 20, "20 labels")
        assert grader.terminate() == 0
        assert {label.status for label in reader.labels()} == {"graded"}


def test_a_grader_puts_decoys_of_the_index_among_what_it_grades(rig: Rig, client: Client) -> None:
    texts = [f"something else {number}" for number in range(30)]
    index = [
        ChunkEvent(chunk_id=text, text=text, index="docs", ts=datetime.now(UTC)) for text in texts
    ]
    _land(client, [*index])
    asked = job(1).model_copy(update={"index": "docs"})
    again = asked.model_copy(update={"role": "second", "job_id": "f" * 32})
    rig.send([asked, again, asked])
    grader = rig.grader()
    grader.start()
    with rig.reading("labels") as reader:
        wait_until(lambda: reader.label_count() == 42, "labels, second looks and decoys")
        wait_until(lambda: rig.lag() == 0, "all jobs acknowledged")
        assert grader.terminate() == 0
        reader.poll()
        labels = {label.label_id: label for label in reader.labels()}.values()
    by_role = Counter(label.role for label in labels)
    assert by_role == {"label": 20, "second": 20, "decoy": 2}
    hashes = {identity.content_hash(text) for text in texts}
    decoys = [label for label in labels if label.role == "decoy"]
    assert {each.chunk_hash for each in decoys} <= hashes
    assert {each.job_id for each in decoys} == {asked.job_id}
    assert rig.llm.ledger()["pairs_asked_again"] == 20  # the second look, and no decoy


async def test_a_grade_that_landed_is_known_and_one_that_did_not_is_not(
    client: Client, clickhouse_settings: ClickHouseSettings
) -> None:
    label = _label_of_now()
    _land_labels(client, [label, label])
    with LabelReader(clickhouse_settings) as store:
        assert await store.graded(label.query_hash, [label.label_id, "f" * 32]) == {
            label.label_id: 3
        }


async def test_what_is_forgotten_is_known_soon_and_kept_while_clickhouse_is_away(
    client: Client, clickhouse_settings: ClickHouseSettings
) -> None:
    def forget(query_id: str) -> None:
        row = ("query", tombstone_hash("query", query_id), datetime.now(UTC))
        client.insert("forgotten", [row], column_names=tables.FORGOTTEN.columns)

    forget("q-1")
    with LabelReader(clickhouse_settings) as store:
        assert (await store.forgotten()).query("q-1")
        forget("q-2")
        while not (await store.forgotten()).query("q-2"):
            await asyncio.sleep(0.1)
        client.command("DROP TABLE forgotten")
        await asyncio.sleep(REFRESH_S)
        assert (await store.forgotten()).query("q-1")


async def test_decoys_are_drawn_from_the_chunks_of_an_index_that_are_there(
    client: Client, clickhouse_settings: ClickHouseSettings
) -> None:
    def chunk(number: int, index: str, **said: Any) -> ChunkEvent:
        return ChunkEvent(
            chunk_id=f"c{number}", text=f"text {number}", index=index, ts=datetime.now(UTC), **said
        )

    def hashes(*numbers: int) -> set[str]:
        return {identity.content_hash(f"text {number}") for number in numbers}

    found = Candidate(chunk_id="x", rank=1, score=1.0, text="text 9")
    searched = RetrievalEvent(
        query_id="q", query="q", ts=datetime.now(UTC), index="logged", candidates=(found,)
    )
    _land(client, [*(chunk(number, "docs") for number in range(4)), chunk(7, "other"), searched])
    _land(client, [chunk(3, "docs", deleted=True)])
    with LabelReader(clickhouse_settings) as store:
        sampled = await store.sample("docs")
        assert set(sampled) == hashes(0, 1, 2)
        assert set(sampled.values()) == {"text 0", "text 1", "text 2"}
        assert set(await store.sample("logged")) == hashes(9)
        assert await store.sample("unknown") == {}
        forgotten = tombstone_hash("chunk", min(hashes(0)))
        row = ("chunk", forgotten, datetime.now(UTC))
        client.insert("forgotten", [row], column_names=tables.FORGOTTEN.columns)
        await store.forgotten()
        assert set(await store.sample("docs")) == hashes(1, 2)


async def test_a_large_index_gives_a_sample_that_is_always_the_same(
    client: Client, clickhouse_settings: ClickHouseSettings
) -> None:
    rows = [
        row
        for number in range(2_000)
        for row in tables.rows_of(
            ChunkEvent(chunk_id=f"c{number}", text=f"text {number}", ts=datetime.now(UTC)),
            Position("chunks", 0, 0),
        )
    ]
    for table in (tables.CHUNKS, tables.INDEX_ENTRIES):
        of_table = [row for made, row in rows if made is table]
        client.insert(table.name, of_table, column_names=table.columns)
    samples = []
    for _ in range(2):
        with LabelReader(clickhouse_settings) as store:
            samples.append(await store.sample(""))
    assert samples[0] == samples[1]
    assert len(samples[0]) == 512


async def test_what_was_graded_for_a_query_is_known_decoys_apart(
    client: Client, clickhouse_settings: ClickHouseSettings
) -> None:
    label = _label_of_now()
    decoy = label.model_copy(update={"role": "decoy", "chunk_hash": "d" * 32, "label_id": "e" * 32})
    _land_labels(client, [label, decoy])
    with LabelReader(clickhouse_settings) as store:
        assert await store.graded_chunks(label.query_hash) == [label.chunk_hash]
        assert await store.graded_chunks("0" * 32) == []
    away = load(ClickHouseSettings, clickhouse_url="http://default:@127.0.0.1:1/ragwheel")
    with LabelReader(away) as store:
        assert await store.graded_chunks(label.query_hash) is None
        assert await store.sample("") == {}


def _land(client: Client, records: list[Record]) -> None:
    for record in records:
        for table, row in tables.rows_of(record, Position("chunks", 0, 0)):
            client.insert(table.name, [row], column_names=table.columns)


def _label_of_now() -> Label:
    asked = job(1, chunks=1)
    return Label(
        label_id="a" * 32, job_id=asked.job_id, role="label", query_id="q", query=asked.query,
        query_hash=asked.query_hash, chunk_hash=asked.candidates[0].chunk_hash, status="graded",
        grade=3, grader_id="g", model="m", rubric_version="r", prompt_hash="p", stratum="s",
        inclusion_probability=1.0, cost_usd=0.25, ts=asked.ts, graded_at=datetime.now(UTC),
    )  # fmt: skip
