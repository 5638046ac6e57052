"""Migrations, row makers and record models say the same thing, checked in both directions.

Three truths are written by hand: the models (what travels), the row makers (what is inserted) and
the migrations (what is stored). Here the migrations run on a real engine and all are compared.
"""

from __future__ import annotations

import re
import types
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pytest
from clickhouse_connect.driver.client import Client
from pydantic import BaseModel
from tests.rigs.examples import HASH, TEXT, examples, query, retrieval

from ragwheel.backends.clickhouse import connect
from ragwheel.backends.migrate import migrate, pending
from ragwheel.backends.telemetry import Telemetry
from ragwheel.intake.backoff import Persistence
from ragwheel.intake.inserts import ClickHouseInserts
from ragwheel.schemas.events import MetricValue
from ragwheel.schemas.migrations import migrations, statements
from ragwheel.schemas.settings import ClickHouseSettings
from ragwheel.schemas.tables import (
    ALL_TABLES,
    TABLES_OF_TOPIC,
    Table,
    rows_of,
)
from ragwheel.schemas.topics import TOPICS, Position, TopicName

SNAPSHOT = Path(__file__).parent / "tables.sql"
POSITION = {"kafka_partition": "UInt32", "kafka_offset": "UInt64"}

#: Columns that no field of the record has, with the type that they must have.
DERIVED: dict[str, dict[str, str]] = {
    "queries": {"query_hash": "String", "extra": "String", **POSITION},
    "retrievals": {
        "query_hash": "String",
        "chunk_ids": "Array(String)",
        "chunk_hashes": "Array(String)",
        "ranks": "Array(UInt32)",
        "scores": "Array(Float32)",
        "in_context": "Array(Bool)",
        "extra": "String",
        **POSITION,
    },
    "feedback": {"extra": "String", **POSITION},
    "chunks": {"chunk_hash": "String"},
    "index_entries": {"chunk_hash": "String", **POSITION},
    "grading_jobs": {"chunk_hashes": "Array(String)", **POSITION},
    "labels": {"precedence": "UInt64", **POSITION},
    "models": {"extra": "String", **POSITION},
    "model_metrics": {"event_id": "String", "model_id": "String", "ts": "DateTime64(3, 'UTC')"},
    "dead_letters": POSITION,
    "ingest_ledger": {
        "topic": "String",
        "partition": "UInt32",
        "first_offset": "UInt64",
        "last_offset": "UInt64",
        "landed": "UInt64",
        "dead_lettered": "UInt64",
        "at": "DateTime64(3, 'UTC')",
    },
}
#: Fields that a topic's tables hold under other names or not at all, and why.
ELSEWHERE: dict[str, dict[str, str]] = {
    "retrievals": {"candidates": "parallel arrays; texts in chunks"},
    "chunks": {"event_id": "identity is the content", "content_hash": "chunk_hash"},
    "grading": {"candidates": "chunk_hashes"},
    "models": {"metrics": "model_metrics"},
}
#: Kept by the table in a form that a reader must know.
ENCODED = {("queries", "attributes"): "String", ("feedback", "chunk_id"): "String"}
#: The envelope: the table says it all.
ENVELOPE = {"event", "schema_version"}


@pytest.fixture
def client(clickhouse_settings: ClickHouseSettings) -> Iterator[Client]:
    """A migrated database of the test's own."""
    opened = connect(clickhouse_settings, create_database=True)
    migrate(opened)
    yield opened
    opened.close()


def inserts_into(client: Client) -> ClickHouseInserts:
    """Inserts that fail where intake would wait."""

    def wait(_: float) -> None:
        pytest.fail("ClickHouse did not take an insert")

    return ClickHouseInserts(client, Persistence(wait, lambda: 0.0), Telemetry())


def columns_of(client: Client, table: str) -> dict[str, str]:
    """Name → type without LowCardinality, which changes the storage and not the values."""
    found = client.query(
        "SELECT name, type FROM system.columns "
        "WHERE database = currentDatabase() AND table = {table:String} ORDER BY position",
        parameters={"table": table},
    ).result_rows
    return {name: re.sub(r"LowCardinality\((.*)\)", r"\1", kind) for name, kind in found}


def fits(annotation: Any, column: str) -> bool:
    """Whether values of a model field can be stored in a column of this type, no more, no less."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return fits(arguments[0], column)
    if origin in (Union, types.UnionType):
        inner = [argument for argument in arguments if argument is not type(None)]
        nullable = re.fullmatch(r"Nullable\((.*)\)", column)
        return len(inner) == 1 and nullable is not None and fits(inner[0], nullable[1])
    if origin is Literal:
        return fits(type(arguments[0]), column)
    kinds: dict[Any, str] = {
        str: r"String", bytes: r"String", int: r"UInt(8|16|32|64)", float: r"Float(32|64)",
        bool: r"Bool", datetime: r"DateTime64\(3, 'UTC'\)",
    }  # fmt: skip
    # pydantic's AwareDatetime is a marker class, not datetime itself.
    key = datetime if getattr(annotation, "__name__", "") == "AwareDatetime" else annotation
    return key in kinds and re.fullmatch(kinds[key], column) is not None


def model_of(table: Table) -> type[BaseModel] | None:
    """The model whose fields the table's columns are; None where no record has them."""
    if table.name == "model_metrics":
        return MetricValue
    for name, tables in TABLES_OF_TOPIC.items():
        if table in tables and not (table.name == "chunks" and name == "retrievals"):
            return TOPICS[name].model
    return None


def test_the_server_has_exactly_the_tables_that_rows_are_made_for(client: Client) -> None:
    found = client.query(
        "SELECT name FROM system.tables WHERE database = currentDatabase() AND engine != 'View'"
    ).result_rows
    assert {name for (name,) in found} == {t.name for t in ALL_TABLES} | {"schema_migrations"}


def test_every_table_has_a_deduplicating_view_with_its_columns(client: Client) -> None:
    for table in ALL_TABLES:
        shown = columns_of(client, f"v_{table.name}")
        stored = columns_of(client, table.name)
        stored.pop("precedence", None)  # computed; SELECT * leaves it out
        assert shown == stored


@pytest.mark.parametrize("table", ALL_TABLES, ids=lambda table: table.name)
def test_inserted_columns_are_the_stored_columns(client: Client, table: Table) -> None:
    stored = [name for name in columns_of(client, table.name) if name != "precedence"]
    assert sorted(table.columns) == sorted(stored)
    assert len(set(table.columns)) == len(table.columns)


@pytest.mark.parametrize("table", ALL_TABLES, ids=lambda table: table.name)
def test_every_column_is_a_field_of_the_record_with_a_fitting_type(
    client: Client, table: Table
) -> None:
    model = model_of(table)
    fields = model.model_fields if model else {}
    expected = dict(DERIVED[table.name])
    wrong = {}
    for name, kind in columns_of(client, table.name).items():
        if name in expected:
            good = expected.pop(name) == kind
        elif (table.name, name) in ENCODED:
            good = ENCODED[table.name, name] == kind
        else:
            good = name in fields and fits(_annotation(fields[name]), kind)
        if not good:
            wrong[name] = kind
    assert not wrong
    assert not expected, "derived columns that do not exist"


@pytest.mark.parametrize("topic", list(TOPICS))
def test_every_field_of_a_record_is_stored(topic: TopicName) -> None:
    stored = {column for table in TABLES_OF_TOPIC[topic] for column in table.columns}
    unstored = set(TOPICS[topic].model.model_fields) - stored - ENVELOPE
    assert unstored == set(ELSEWHERE.get(topic, {}))


def test_retention_of_the_registry_is_the_ttl_of_the_table(client: Client) -> None:
    for topic in TOPICS.values():
        ddl = str(client.command(f"SHOW CREATE TABLE {topic.table}"))
        ttl = re.search(r"TTL toDateTime\(ts\) \+ toIntervalDay\((\d+)\)", ddl)
        assert (int(ttl[1]) if ttl else 0) == topic.table_ttl_days, topic.table


def test_migrations_run_up_down_and_up_again(client: Client) -> None:
    before = schema(client)
    for migration in reversed(migrations()):
        for statement in statements(migration.down):
            client.command(statement)
    left = client.query(
        "SELECT name FROM system.tables WHERE database = currentDatabase()"
    ).result_rows
    assert left == [("schema_migrations",)]
    client.command("TRUNCATE TABLE schema_migrations")
    assert [m.version for m in migrate(client)] == [m.version for m in migrations()]
    assert schema(client) == before


def test_migrating_twice_does_nothing(client: Client) -> None:
    assert migrate(client) == []
    assert pending(client) == []


def test_the_committed_snapshot_is_the_schema_that_the_migrations_make(client: Client) -> None:
    """After a new migration: delete the snapshot, run this test twice, review the difference."""
    made = schema(client)
    if not SNAPSHOT.exists():
        SNAPSHOT.write_text(made, "utf-8")
        pytest.fail(f"wrote {SNAPSHOT.name}; review and commit it")
    assert made == SNAPSHOT.read_text("utf-8")


@pytest.mark.parametrize("topic", list(TOPICS))
def test_a_record_of_each_topic_reads_back_as_it_was_inserted(
    client: Client, topic: TopicName
) -> None:
    inserts = inserts_into(client)
    made = list(rows_of(examples()[topic], Position("queries", 3, 12)))
    assert {table for table, _ in made} == set(TABLES_OF_TOPIC[topic])
    for number, (table, row) in enumerate(made):
        assert inserts.land(table, {Position(topic, 0, number): [row]}) == {}
    for table, row in made:
        found = client.query(
            f"SELECT {', '.join(f'`{c}`' for c in table.columns)} FROM v_{table.name}",  # noqa: S608 - our own names
            column_formats={"key": "bytes", "payload": "bytes"} if topic == "deadletters" else None,
        ).result_rows
        assert [tuple(map(comparable, got)) for got in found] == [tuple(map(comparable, row))]


def test_unknown_fields_reach_the_archive(client: Client) -> None:
    inserts = inserts_into(client)
    for record in (query(added=1), retrieval(added=[1])):
        for table, row in rows_of(record, Position("queries", 0, 0)):
            assert inserts.land(table, {Position("queries", 0, 0): [row]}) == {}
    assert client.command("SELECT JSONExtractInt(extra, 'added') FROM v_queries") == 1
    assert client.command("SELECT JSONExtractRaw(extra, 'added') FROM v_retrievals") == "[1]"


def test_a_replayed_row_is_read_once_even_under_another_token(client: Client) -> None:
    inserts = inserts_into(client)
    for topic in TOPICS:
        for attempt in range(2):
            for table, row in rows_of(examples()[topic], Position("queries", 0, attempt)):
                assert inserts.land(table, {Position(topic, 0, attempt): [row]}) == {}
    for table in ALL_TABLES:
        if table.name != "ingest_ledger":
            count = client.command(f"SELECT count() FROM v_{table.name}")  # noqa: S608 - our own names
            assert count == 1, table.name
    assert client.command("SELECT text FROM v_chunks WHERE chunk_hash = '" + HASH + "'") == TEXT  # noqa: S608


def _annotation(field: Any) -> Any:
    return Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation


def comparable(value: Any) -> Any:
    """Times in UTC; lists for tuples."""
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    return list(value) if isinstance(value, tuple | list) else value


def schema(client: Client) -> str:
    """DDL of everything, in order of names, without the database's name."""
    database = str(client.command("SELECT currentDatabase()"))
    names = client.query(
        "SELECT name FROM system.tables WHERE database = currentDatabase() ORDER BY name"
    ).result_rows
    parts = [str(client.command(f"SHOW CREATE TABLE {name}")) for (name,) in names]
    text = "\n\n".join(part.replace("\\n", "\n").replace("\\'", "'") for part in parts)
    return text.replace(f"{database}.", "") + "\n"
