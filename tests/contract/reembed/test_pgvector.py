"""What a table of a service has, beside columns, that must outlive a switch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql
from tests.contract.reembed.stores import points, unit

from ragwheel.reembed.indexes import pgvector
from ragwheel.reembed.indexes.contracts import IndexBuild, IndexRefusedError, SpaceVectors
from ragwheel.reembed.indexes.pgvector import PgvectorIndex
from ragwheel.schemas.errors import UnavailableError
from ragwheel.schemas.secrets import StoreUrl

pytestmark = pytest.mark.integration

VECTORS = unit(3, 4)


class Service:
    """A service's connection, and ragwheel's index of its table `chunks` in a schema of its own."""

    def __init__(self, url: str, schema: str) -> None:
        self.db = psycopg.connect(url, autocommit=True)
        self.db.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
        self.url = f"{url}&options=-csearch_path%3D{schema},public"
        self.db.execute(sql.SQL("SET search_path TO {}, public").format(sql.Identifier(schema)))
        self.db.execute("CREATE TABLE documents (id int PRIMARY KEY)")
        self.db.execute("INSERT INTO documents VALUES (1)")
        self.db.execute(
            "CREATE TABLE chunks (id bigserial PRIMARY KEY, lang text NOT NULL DEFAULT 'en', "
            "document int REFERENCES documents ON DELETE CASCADE, embedding vector(4), "
            "seen int GENERATED ALWAYS AS IDENTITY)"
        )
        self.db.execute("CREATE INDEX ON chunks (lang)")
        self.db.execute("CREATE INDEX ON chunks USING hnsw (embedding vector_ip_ops)")
        for vector in VECTORS:
            self.insert(vector.tolist())
        self.index = PgvectorIndex(StoreUrl(f"{self.url}#chunks"))
        self.build = IndexBuild("chunks__two", "two", 4, "chunks__origin")

    def insert(self, vector: list[float]) -> None:
        self.db.execute("INSERT INTO chunks (document, embedding) VALUES (1, %s)", [str(vector)])

    def ask(self, statement: str) -> list[Any]:
        """The first column."""
        return [row[0] for row in self.db.execute(statement.encode())]

    def fill(self) -> None:
        self.index.create(self.build)
        assert self.index.upsert(self.build, points(["1", "2", "3"], "two", VECTORS)) == {}
        self.index.verify(self.build, None)


@pytest.fixture
def service(postgres: str, database: str) -> Iterator[Service]:
    made = Service(postgres, database)
    yield made
    made.index.close()
    made.db.close()


def test_a_service_goes_on_writing_reading_and_numbering_its_rows(service: Service) -> None:
    service.fill()
    service.index.point(service.build, "chunks__origin")
    service.insert(VECTORS[0].tolist())
    assert service.ask("SELECT id FROM chunks ORDER BY id") == [1, 2, 3, 4]
    assert service.ask("SELECT seen FROM chunks ORDER BY id") == [1, 2, 3, 4]
    service.index.drop(IndexBuild("chunks__origin", "one", 0))
    service.insert(VECTORS[0].tolist())
    assert service.ask("SELECT max(id) FROM chunks") == [5]
    service.db.execute("DELETE FROM documents")
    assert service.ask("SELECT count(*) FROM chunks") == [0]


def test_its_indexes_go_along_and_the_vectors_keep_their_metric(service: Service) -> None:
    service.fill()
    made = service.ask(
        "SELECT indexdef FROM pg_indexes "
        "WHERE tablename = 'chunks__two' AND schemaname = current_schema()"
    )
    assert sum("(lang)" in each for each in made) == 1
    assert next(each for each in made if "hnsw" in each).endswith("(embedding vector_ip_ops)")
    assert sum("embedding" in each for each in made) == 1


def test_an_index_whose_building_was_ended_is_built_again(service: Service) -> None:
    service.fill()
    made = (
        "SELECT indisvalid FROM pg_index JOIN pg_class c ON c.oid = indexrelid "
        "JOIN pg_am a ON a.oid = relam "
        "WHERE indrelid = 'chunks__two'::regclass AND amname = 'hnsw'"
    )
    service.db.execute(
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = "
        "'chunks__two_embedding_idx'::regclass"
    )
    assert service.ask(made) == [False]
    found = service.index.verify(service.build, SpaceVectors("two", VECTORS), depth=1)
    assert found.hits == [["1"], ["2"], ["3"]]
    assert service.ask(made) == [True]


def test_roles_keep_what_they_may_do(service: Service, database: str) -> None:
    reader = sql.Identifier(f"reader_{database}")
    service.db.execute(sql.SQL("CREATE ROLE {}").format(reader))
    service.db.execute(sql.SQL("GRANT SELECT ON chunks TO {}").format(reader))
    service.db.execute(sql.SQL("ALTER TABLE chunks OWNER TO {}").format(reader))
    service.db.execute(sql.SQL("GRANT UPDATE ON chunks TO PUBLIC").format(reader))
    service.fill()
    for build, before in [(service.build, "chunks__origin"),
                          (IndexBuild("chunks__origin", "one", 0), "chunks__two")]:  # fmt: skip
        service.index.point(build, before)
        owner, can = service.db.execute(
            "SELECT pg_get_userbyid(relowner), relacl::text FROM pg_class "
            "WHERE oid = 'chunks'::regclass"
        ).fetchone() or ("", "")
        assert owner == f"reader_{database}"
        assert "=w/" in can


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("CREATE VIEW recent AS SELECT id FROM chunks", "view recent"),
        ("CREATE TABLE notes (chunk bigint REFERENCES chunks)", "foreign key notes_chunk_fkey"),
        ("ALTER TABLE chunks ENABLE ROW LEVEL SECURITY", "row security"),
        ("ALTER TABLE chunks ADD COLUMN image vector(4)", "2 of type vector"),
    ],
)
def test_what_would_stay_with_the_old_table_is_named_before_anything_is_built(
    service: Service, statement: str, named: str
) -> None:
    service.db.execute(statement.encode())
    with pytest.raises(IndexRefusedError, match=named):
        service.index.create(service.build)
    assert service.ask("SELECT to_regclass('chunks__two')") == [None]


def test_a_view_that_came_while_the_build_was_made_stops_the_switch(service: Service) -> None:
    service.fill()
    service.db.execute("CREATE VIEW recent AS SELECT id FROM chunks")
    with pytest.raises(IndexRefusedError, match="view recent"):
        service.index.point(service.build, "chunks__origin")
    service.db.execute("DROP VIEW recent")
    service.index.point(service.build, "chunks__origin")


def test_a_trigger_is_asked_for_before_the_switch(service: Service) -> None:
    service.fill()
    trigger = (
        "CREATE TRIGGER quiet BEFORE UPDATE ON {} FOR EACH ROW "
        "EXECUTE FUNCTION suppress_redundant_updates_trigger()"
    )
    service.db.execute(sql.SQL(trigger).format(sql.Identifier("chunks")))
    with pytest.raises(IndexRefusedError, match="lacks triggers of chunks: quiet"):
        service.index.point(service.build, "chunks__origin")
    service.db.execute(sql.SQL(trigger).format(sql.Identifier("chunks__two")))
    service.index.point(service.build, "chunks__origin")


def test_a_chunk_that_the_service_has_not_written_yet_comes_later(service: Service) -> None:
    service.index.create(service.build)
    given = points(["1", "4"], "two", VECTORS[:2])
    refused = service.index.upsert(service.build, given)
    assert list(refused) == ["4"]
    assert "not in chunks," in refused["4"]
    service.insert(VECTORS[0].tolist())
    assert service.index.upsert(service.build, given) == {}
    assert service.index.verify(service.build, None).count == 2


def test_a_long_query_stops_the_switch_and_nothing_else(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pgvector, "_LOCK_TRIES", 2)
    monkeypatch.setattr(pgvector, "_LOCK_PAUSE_S", 0.01)
    service.fill()
    with service.db.transaction():
        assert service.ask("SELECT count(*) FROM chunks") == [3]
        with pytest.raises(UnavailableError, match="is locked by a long query"):
            service.index.point(service.build, "chunks__origin")
        assert service.index.serving() == "chunks__origin"
    service.index.point(service.build, "chunks__origin")
    assert service.index.serving() == "chunks__two"


def test_what_cannot_be_read_of_a_url_is_not_said() -> None:
    for bad in ("postgresql://me:pa%zz-hush@nowhere.invalid/x", "postgresql://me:hush/y@[::1/x",
                "postgresql://me:a@nowhere.invalid/x?sslpassword=hush&bad=%zz"):  # fmt: skip
        with pytest.raises((IndexRefusedError, UnavailableError)) as refused:
            PgvectorIndex(StoreUrl(f"{bad}#chunks"))
        assert "hush" not in str(refused.value)
