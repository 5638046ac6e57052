"""Migrations, row makers and record models say the same thing, checked in both directions.

Three truths are written by hand: the models (what travels), the row makers (what is inserted) and
the migrations (what is stored). Here the migrations run on a real engine and all are compared.
"""

from __future__ import annotations

import random
import re
import types
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pytest
from clickhouse_connect.driver.client import Client
from pydantic import BaseModel
from tests.rigs.examples import HASH, TEXT, examples, query, records_of, retrieval

from ragwheel.backends.clickhouse import connect
from ragwheel.backends.migrate import migrate, pending
from ragwheel.backends.telemetry import Telemetry
from ragwheel.intake.backoff import Persistence
from ragwheel.intake.inserts import ClickHouseInserts
from ragwheel.schemas.events import IndexEvent, MetricValue
from ragwheel.schemas.migrations import migrations, statements
from ragwheel.schemas.settings import ClickHouseSettings
from ragwheel.schemas.tables import (
    ALL_TABLES,
    TABLES_OF_TOPIC,
    UNFINISHED_LABELS,
    Row,
    Table,
    rows_of,
)
from ragwheel.schemas.topics import TOPICS, Position, TopicName

SNAPSHOT = Path(__file__).parent / "tables.sql"

#: Columns that no field of the record has, with the type that they must have.
DERIVED: dict[str, dict[str, str]] = {
    "queries": {"query_hash": "FixedString(16)", "extra": "String"},
    "retrievals": {
        "query_hash": "FixedString(16)",
        "chunk_ids": "Array(String)",
        "chunk_hashes": "Array(FixedString(16))",
        "ranks": "Array(UInt32)",
        "scores": "Array(Float32)",
        "in_context": "Array(Bool)",
        "extra": "String",
    },
    "feedback": {"extra": "String"},
    "chunks": {"chunk_hash": "FixedString(16)"},
    "index_entries": {"chunk_hash": "FixedString(16)"},
    "indexes": {"extra": "String"},
    "grading_jobs": {"chunk_hashes": "Array(FixedString(16))"},
    "job_positions": {
        "origin": "String",
        "partition": "UInt32",
        "offset": "UInt64",
        "chunk_hashes": "Array(FixedString(16))",
    },
    "models": {"extra": "String"},
    "model_metrics": {"event_id": "String", "model_id": "String", "ts": "DateTime64(3, 'UTC')"},
    "gate_queries": {
        "event_id": "String",
        "query_hash": "FixedString(16)",
        "ts": "DateTime64(3, 'UTC')",
    },
    "ingest_ledger": {
        "origin": "String",
        "topic": "String",
        "partition": "UInt32",
        "start": "UInt64",
        "until": "UInt64",
        "written_off": "String",
        "dead_lettered": "Array(UInt64)",
        "absent_from": "Array(UInt64)",
        "absent_until": "Array(UInt64)",
        "at": "DateTime64(3, 'UTC')",
    },
    "accounts_state": {"name": "String", "state": "String", "at": "DateTime64(3, 'UTC')"},
    "reembeds": {
        **dict.fromkeys(
            (
                "reembed_id",
                "state",
                "by",
                "reason",
                "index",
                "from_version",
                "from_fingerprint",
                "from_physical",
                "version",
                "physical",
                "store",
                "target",
                "document_fingerprint",
                "document_prompt",
                "query_prompt",
                "findings",
            ),
            "String",
        ),
        **dict.fromkeys(("step", "dimension", "max_seq_length", "machines"), "UInt32"),
        **dict.fromkeys(("chunks", "tokens"), "UInt64"),
        **dict.fromkeys(("hours", "uncertainty", "usd_per_hour"), "Float64"),
        "ts": "DateTime64(3, 'UTC')",
    },
    "reembed_shards": {
        "reembed_id": "String",
        "shard_id": "FixedString(16)",
        "revision": "UInt32",
        "state": "String",
        "chunk_ids": "Array(String)",
        "chunk_hashes": "Array(FixedString(16))",
        "fates": "Array(String)",
        "seconds": "Float64",
        "runner": "String",
        "ts": "DateTime64(3, 'UTC')",
    },
    "forgotten": {"kind": "String", "hash": "FixedString(16)", "at": "DateTime64(3, 'UTC')"},
}
#: Columns that the server fills.
COMPUTED = {"precedence", "landed_at"}
#: Hashes, 16 bytes each.
HASHES = {"entry_id", "label_id", "job_id", "dead_letter_id", "query_hash", "chunk_hash"}
#: Fields that a topic's tables hold under other names or not at all, and why.
ELSEWHERE: dict[str, dict[str, str]] = {
    "retrieval": {"candidates": "parallel arrays; texts in chunks"},
    "chunk": {"event_id": "identity is the content", "content_hash": "chunk_hash"},
    "index": {"event_id": "identity is the build"},
    "job": {"candidates": "chunk_hashes"},
    "model": {"metrics": "model_metrics", "gate_query_hashes": "gate_queries"},
}
#: Kept by the table in a form that a reader must know.
ENCODED = {
    ("queries", "attributes"): "String",
    ("feedback", "chunk_id"): "String",
    ("chunks", "text"): "String",
}
#: Tables of other records than the topic's own.
_MODELS: dict[str, type[BaseModel]] = {"model_metrics": MetricValue, "indexes": IndexEvent}
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
        bool: r"Bool", datetime: r"DateTime64\(3, 'UTC'\)", date: r"Date",
    }  # fmt: skip
    # pydantic's AwareDatetime is a marker class, not datetime itself.
    key = datetime if getattr(annotation, "__name__", "") == "AwareDatetime" else annotation
    return key in kinds and re.fullmatch(kinds[key], column) is not None


def model_of(table: Table) -> type[BaseModel] | None:
    """The model whose fields the table's columns are; None where no record has them."""
    if table.name in _MODELS:
        return _MODELS[table.name]
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
        stored = {name: shown_as(kind) for name, kind in stored.items() if name not in COMPUTED}
        assert shown == stored


@pytest.mark.parametrize("table", ALL_TABLES, ids=lambda table: table.name)
def test_inserted_columns_are_the_stored_columns(client: Client, table: Table) -> None:
    stored = [name for name in columns_of(client, table.name) if name not in COMPUTED]
    assert sorted(table.columns) == sorted(stored)
    assert len(set(table.columns)) == len(table.columns)


@pytest.mark.parametrize("table", ALL_TABLES, ids=lambda table: table.name)
def test_every_column_is_a_field_of_the_record_with_a_fitting_type(
    client: Client, table: Table
) -> None:
    model = model_of(table)
    fields = model.model_fields if model else {}
    expected = dict(DERIVED.get(table.name, {}))
    wrong = {}
    for name, kind in columns_of(client, table.name).items():
        if name in expected:
            good = expected.pop(name) == kind
        elif name in COMPUTED:
            good = True
        elif name in HASHES:
            good = name in fields and kind == "FixedString(16)"
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
    for tag, model in TOPICS[topic].models.items():
        unstored = set(model.model_fields) - stored - ENVELOPE
        assert unstored == set(ELSEWHERE.get(tag, {}))


def test_retention_of_the_registry_is_the_ttl_of_the_table(client: Client) -> None:
    for topic in TOPICS.values():
        ddl = str(client.command(f"SHOW CREATE TABLE {topic.table}"))
        ttl = re.search(r"TTL landed_at \+ toIntervalDay\((\d+)\)", ddl)
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
    at = Position(topic, 3, 12, "o-1")
    made = [row for record in records_of(topic) for row in rows_of(record, at)]
    assert {table for table, _ in made} == set(TABLES_OF_TOPIC[topic]) - {UNFINISHED_LABELS}
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


@pytest.mark.parametrize("table", ALL_TABLES, ids=lambda table: table.name)
def test_what_makes_two_rows_one_is_the_sorting_key(client: Client, table: Table) -> None:
    key = client.command(
        "SELECT sorting_key FROM system.tables "
        "WHERE database = currentDatabase() AND name = {table:String}",
        parameters={"table": table.name},
    )
    assert str(key) == ", ".join(table.identity)


def varied(table: Table, kinds: dict[str, str], row: Row, dice: random.Random) -> Row:
    """A row that differs in everything but its identity, months away where it has times."""

    def other(kind: str) -> Any:
        if array := re.fullmatch(r"Array\((.*)\)", kind):
            return [other(array[1]) for _ in range(dice.randrange(1, 4))]
        if inner := re.fullmatch(r"Nullable\((.*)\)", kind):
            return other(inner[1])
        if kind == "Date":
            return date(2026, 1, 1) + timedelta(days=dice.randrange(300))
        if kind.startswith("DateTime"):
            return datetime.now(UTC) - timedelta(days=dice.randrange(1, 140))
        if kind.startswith("FixedString"):
            return dice.randbytes(16)
        if kind.startswith("Float"):
            return dice.random()
        if kind.startswith("UInt"):
            return dice.randrange(200)
        return dice.random() < 0.5 if kind == "Bool" else f"other {dice.random()}"

    return tuple(
        value if name in table.identity else other(kinds[name])
        for name, value in zip(table.columns, row, strict=True)
    )


@pytest.mark.parametrize("topic", list(TOPICS))
def test_rows_of_one_identity_are_read_as_one_whatever_else_differs(
    client: Client, topic: TopicName
) -> None:
    """A resent event, a letter refused for another reason, a job of a topic that was made again."""
    dice = random.Random(f"identity of {topic}")
    record = examples()[topic]
    failed = {"status": "failed", "grade": None, "expected_grade": None, "reason": "no answer"}
    records = records_of(topic)
    if topic == "labels":
        records.append(record.model_copy(update=failed))
    inserts = inserts_into(client)
    for each in records:
        for table, row in rows_of(each, Position(topic, 0, 7, "o-1")):
            kinds = columns_of(client, table.name)
            for number, copy in enumerate([row, *(varied(table, kinds, row, dice) for _ in "abc")]):
                assert inserts.land(table, {Position(topic, 0, number): [copy]}) == {}
    for table in TABLES_OF_TOPIC[topic]:
        count = client.command(f"SELECT count() FROM v_{table.name}")  # noqa: S608 - our own names
        assert count == 1, table.name


def test_the_text_of_a_chunk_is_found_under_its_hash(client: Client) -> None:
    for table, row in rows_of(examples()["chunks"], Position("chunks", 0, 0)):
        assert inserts_into(client).land(table, {Position("chunks", 0, 0): [row]}) == {}
    assert client.command("SELECT text FROM v_chunks WHERE chunk_hash = '" + HASH + "'") == TEXT  # noqa: S608


def _annotation(field: Any) -> Any:
    return Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation


def shown_as(kind: str) -> str:
    """The type under which a view shows a stored one."""
    return kind.replace("FixedString(16)", "String")


def comparable(value: Any) -> Any:
    """Times in UTC; lists for tuples; hashes in hexadecimal."""
    if isinstance(value, bytes) and len(value) == 16:
        return value.hex()
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    return list(map(comparable, value)) if isinstance(value, tuple | list) else value


def schema(client: Client) -> str:
    """DDL of everything, in order of names, without the database's name."""
    database = str(client.command("SELECT currentDatabase()"))
    names = client.query(
        "SELECT name FROM system.tables WHERE database = currentDatabase() ORDER BY name"
    ).result_rows
    parts = [str(client.command(f"SHOW CREATE TABLE {name}")) for (name,) in names]
    text = "\n\n".join(part.replace("\\n", "\n").replace("\\'", "'") for part in parts)
    return text.replace(f"{database}.", "") + "\n"
