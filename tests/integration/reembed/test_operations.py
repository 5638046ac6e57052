"""`ragwheel reembed` from a plan to a switch and back, with real models, Kafka and ClickHouse."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer
from tests.rigs.trainer_world import save_base_model

from ragwheel.backends import kafka
from ragwheel.backends.clickhouse import connect
from ragwheel.backends.migrate import migrate
from ragwheel.models.encoder import load_encoder
from ragwheel.operations.reembedding import How, Reembedding
from ragwheel.reembed.indexes.contracts import IndexBuild, Points, SpaceVectors, physical_name
from ragwheel.reembed.indexes.opening import open_index
from ragwheel.reembed.proposing import Proposal
from ragwheel.reembed.states import ReembedRefusedError
from ragwheel.schemas.events import ChunkEvent, IndexEvent
from ragwheel.schemas.secrets import StoreUrl
from ragwheel.schemas.settings import ClickHouseSettings, KafkaSettings, ReembedSettings
from ragwheel.schemas.tables import rows_of
from ragwheel.schemas.topics import TOPICS, Position

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

THEN = datetime.now(UTC) - timedelta(hours=1)
TEXTS = {f"c-{number}": f"code{number} code{number + 1}" for number in range(12)}


def declared(settings: ReembedSettings) -> list[IndexEvent]:
    """What was said in Kafka, in order."""
    topic = kafka.physical(settings, "chunks")
    consumer = Consumer(
        {
            "bootstrap.servers": settings.kafka_bootstrap_servers, "group.id": "reader",
            "auto.offset.reset": "earliest", "enable.partition.eof": True,
        }
    )  # fmt: skip
    consumer.subscribe([topic])
    found, ends = [], 0
    while ends < TOPICS["chunks"].partitions:
        message = consumer.poll(60)
        assert message is not None
        if message.error():
            ends += 1
        else:
            found.append(IndexEvent.model_validate_json(message.value() or b""))
    consumer.close()
    return sorted(found, key=lambda event: event.ts)


@pytest.fixture
def settings(
    kafka_settings: KafkaSettings, clickhouse_settings: ClickHouseSettings, tmp_path: Path
) -> ReembedSettings:
    """An index `docs` that was made with one model and is searched in Qdrant."""
    old_model = save_base_model(tmp_path / "old", seed=1)
    save_base_model(tmp_path / "new", seed=2)
    store = StoreUrl(f"qdrant+path://{tmp_path}/qdrant#docs")
    kafka.create_topics(kafka_settings)
    old = load_encoder(old_model, 128)
    with closing(connect(clickhouse_settings, create_database=True)) as client:
        migrate(client)
        records: list[Any] = [
            ChunkEvent(chunk_id=each, text=text, ts=THEN, index="docs", index_version="1")
            for each, text in TEXTS.items()
        ]
        records.append(
            IndexEvent(
                index="docs", index_version="1", ts=THEN, complete=True, chunks=len(TEXTS),
                document_fingerprint=old.fingerprint,
            )
        )  # fmt: skip
        for record in records:
            for table, row in rows_of(record, Position("chunks", 0, 0)):
                client.insert(table.name, [row], column_names=list(table.columns))
    build = IndexBuild("first", old.fingerprint, old.dimension)
    vectors = SpaceVectors(old.fingerprint, old.encode(list(TEXTS.values()), "document"))
    with closing(open_index(store)) as index:
        index.create(build)
        index.upsert(build, Points(list(TEXTS), [f"{n:032x}" for n in range(12)], vectors))
        index.point(build, "")
    return ReembedSettings(
        kafka_bootstrap_servers=kafka_settings.kafka_bootstrap_servers,
        topic_prefix=kafka_settings.topic_prefix,
        clickhouse_url=clickhouse_settings.clickhouse_url, base_model=old_model,
        model_dir=tmp_path / "models", vector_cache_dir=tmp_path / "vectors", vector_store=store,
    )  # fmt: skip


def test_an_index_moves_to_another_model_and_back(
    settings: ReembedSettings, tmp_path: Path
) -> None:
    with Reembedding(settings) as reembedding:
        with pytest.raises(ReembedRefusedError, match="holds the vectors of"):
            reembedding.plan(Proposal(settings.base_model))
        planned = reembedding.plan(Proposal(str(tmp_path / "new"), usd_per_hour=2.0))
        assert (planned.chunks, planned.texts, planned.old_stored) == (12, 12, 12)
        assert planned.price.hours > 0
        assert planned.price.usd == pytest.approx(2 * planned.price.hours)
        again = reembedding.plan(Proposal(str(tmp_path / "new")))
        assert again.reembed_id == planned.reembed_id
        assert reembedding.status("").state == "planned"

        built = reembedding.run("", How())
        assert (built.state, built.totals.embedded, built.unaccounted) == ("built", 12, 0)
        assert built.searched == "first"
        with pytest.raises(ReembedRefusedError, match="needs it verified"):
            reembedding.cutover("", How())
        doubted = reembedding.verify("", How(), 0.01, "")
        assert doubted.state == "built"
        assert doubted.findings is not None
        (problem,) = doubted.findings.problems
        assert "0 judged held-out queries" in problem
        verified = reembedding.verify(planned.reembed_id[:6], How(), 0.01, "nobody judged yet")
        assert (verified.state, verified.reason) == ("verified", "nobody judged yet")

        cut = reembedding.cutover("", How())
        assert (cut.state, cut.searched) == ("cut over", physical_name("docs", planned.version))
        back = reembedding.rollback("", "a test")
        assert (back.state, back.searched) == ("rolled back", "first")
        assert reembedding.abort("", "a test").state == "aborted"
        assert reembedding.plan(Proposal(str(tmp_path / "new"))).version == f"{planned.version}_2"
        assert reembedding.status("").state == "planned"
    said = declared(settings)
    assert [(each.index_version, each.complete) for each in said] == [
        (planned.version, True), (planned.version, False), ("1", True),
    ]  # fmt: skip
    assert said[0].chunks == 12
    assert said[0].document_fingerprint == planned.document_fingerprint


def test_another_store_or_a_changed_model_is_refused(
    settings: ReembedSettings, tmp_path: Path
) -> None:
    with Reembedding(settings) as reembedding:
        reembedding.plan(Proposal(str(tmp_path / "new")))
    elsewhere = StoreUrl(f"qdrant+path://{tmp_path}/other#docs")
    with (
        Reembedding(settings.model_copy(update={"vector_store": elsewhere})) as reembedding,
        pytest.raises(ReembedRefusedError, match="RAGWHEEL_VECTOR_STORE is qdrant"),
    ):
        reembedding.run("", How())
    save_base_model(tmp_path / "new", seed=3)
    with (
        Reembedding(settings) as reembedding,
        pytest.raises(ReembedRefusedError, match="another revision or folder"),
    ):
        reembedding.run("", How())
