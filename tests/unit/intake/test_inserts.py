"""Landing rows: what is named how, what is repeated, what is halved, what a failure means."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError, OperationalError
from tests.unit.intake.fakes import POISON

from ragwheel.backends.telemetry import Telemetry
from ragwheel.intake.backoff import Persistence
from ragwheel.intake.inserts import ClickHouseInserts
from ragwheel.schemas import metrics
from ragwheel.schemas.tables import CHUNKS, Row
from ragwheel.schemas.topics import Position


class FakeClient:
    """The two calls of clickhouse-connect that inserting needs."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, list[Row]]] = []
        self.asked_for_types = 0
        self.faults: list[Exception] = []

    def create_insert_context(self, table: str, columns: Sequence[str]) -> Any:
        self.asked_for_types += 1
        return SimpleNamespace(column_types=list(columns))

    def insert(
        self, table: str, data: Sequence[Sequence[Any]], *, settings: dict[str, Any], **_: Any
    ) -> None:
        rows: list[Row] = list(zip(*data, strict=True))
        self.calls.append((settings["insert_deduplication_token"], rows))
        if self.faults:
            raise self.faults.pop(0)
        if any(POISON in row for row in rows):
            raise struct.error("required argument is not an integer")


class World:
    """Inserts over a client that fails on request."""

    def __init__(self, *faults: Exception) -> None:
        self.client = FakeClient()
        self.client.faults = list(faults)
        self.waits: list[float] = []
        self.telemetry = Telemetry()
        self.inserts = ClickHouseInserts(
            cast(Client, self.client), Persistence(self.waits.append, lambda: 0.0), self.telemetry
        )

    def errors(self) -> float:
        return self.telemetry.value(metrics.INSERT_ERRORS, table="chunks")


def rows(*texts: str) -> dict[Position, list[Row]]:
    return {Position("chunks", 0, n): [(f"h{n}", text, None)] for n, text in enumerate(texts)}


def server_error(code: int) -> DatabaseError:
    error = DatabaseError(f"Code: {code}. DB::Exception: no")
    error.code = code
    return error


def test_no_insert_is_ever_taken_for_another() -> None:
    # A name that two inserts share would swallow the rows of the second, were they equal or not.
    world = World()
    for _ in range(2):
        world.inserts.land(CHUNKS, rows("a", "b"))
    first, second = (name for name, _ in world.client.calls)
    assert first != second
    assert world.telemetry.value(metrics.INSERT_ROWS, table="chunks") == 4


def test_a_refused_message_costs_few_inserts() -> None:
    world = World()
    many = rows(*(POISON if n == 333 else "fine" for n in range(1024)))
    assert set(world.inserts.land(CHUNKS, many)) == {Position("chunks", 0, 333)}
    assert len(world.client.calls) <= 21
    assert world.waits == []


def test_the_halves_of_a_refused_insert_have_names_of_their_own() -> None:
    world = World()
    refused = world.inserts.land(CHUNKS, rows("a", POISON, "c"))
    assert refused == {
        Position("chunks", 0, 1): "chunks: error: required argument is not an integer"
    }
    names = [name for name, _ in world.client.calls]
    assert len(set(names)) == len(names)


def test_a_fault_is_counted_and_the_same_insert_repeated() -> None:
    world = World(OperationalError("down"), OperationalError("down"))
    assert world.inserts.land(CHUNKS, rows("a")) == {}
    assert world.client.calls == [world.client.calls[0]] * 3
    assert (len(world.waits), world.errors()) == (2, 2)


@pytest.mark.parametrize("code", [60, 241, 252, 242])
def test_a_fault_of_the_server_refuses_nobody(code: int) -> None:
    # No table, no memory, too many parts, read-only.
    world = World(server_error(code))
    assert world.inserts.land(CHUNKS, rows("a")) == {}
    assert world.errors() == 1


@pytest.mark.parametrize("code", [6, 321, 469])
def test_a_value_that_the_server_cannot_take_is_refused(code: int) -> None:
    world = World(server_error(code))
    (reason,) = world.inserts.land(CHUNKS, rows("a")).values()
    assert f"Code: {code}" in reason
    assert (world.waits, world.errors()) == ([], 0)


def test_column_types_are_asked_for_once_and_again_after_a_fault() -> None:
    world = World()
    for _ in range(3):
        world.inserts.land(CHUNKS, rows("a"))
    assert world.client.asked_for_types == 1
    world.client.faults = [server_error(16)]  # no such column: somebody changed the table
    world.inserts.land(CHUNKS, rows("a"))
    assert world.client.asked_for_types == 2
