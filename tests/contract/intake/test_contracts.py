"""What intake/contracts.py promises holds for the real neighbours and for the tests' fakes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import OperationalError
from tests.rigs.examples import examples, query
from tests.rigs.mock_kafka import MockKafka
from tests.unit.intake.fakes import POISON, FakeInserts, FakeOutlet

from ragwheel.backends.clickhouse import connect
from ragwheel.backends.migrate import migrate
from ragwheel.backends.publish import Publisher
from ragwheel.backends.telemetry import Telemetry
from ragwheel.intake.backoff import Persistence, StopRequestedError
from ragwheel.intake.contracts import Inserts, Outlet
from ragwheel.intake.inserts import ClickHouseInserts
from ragwheel.intake.outlet import KafkaOutlet, job_message, letter_message
from ragwheel.schemas.errors import UnavailableError
from ragwheel.schemas.events import DeadLetter, GradingJob
from ragwheel.schemas.settings import ClickHouseSettings, KafkaSettings
from ragwheel.schemas.tables import INGEST_LEDGER, QUERIES, Row, rows_of
from ragwheel.schemas.topics import Position


@dataclass
class InsertsMember:
    """An `Inserts` and what only the test may do with it."""

    inserts: Inserts
    rows: Callable[[], list[str]]
    fail_once: Callable[[], None]
    stop: Callable[[], None]


class Waiting:
    """Waits no time; raises once the process shall end."""

    stopping = False

    def __call__(self, _: float) -> None:
        if self.stopping:
            raise StopRequestedError("stop")

    def stop(self) -> None:
        self.stopping = True


class FlakyClient:
    """A real client whose connection drops on request."""

    faults = 0

    def __init__(self, client: Client) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def insert(self, *args: Any, **options: Any) -> Any:
        if self.faults:
            self.faults -= 1
            raise OperationalError("connection dropped")
        return self._client.insert(*args, **options)

    def fail_once(self) -> None:
        self.faults += 1


@pytest.fixture(params=["fake", "clickhouse"])
def member(request: pytest.FixtureRequest) -> Iterator[InsertsMember]:
    waiting = Waiting()
    if request.param == "fake":
        fake = FakeInserts([], waiting)
        yield InsertsMember(
            fake,
            lambda: sorted(row[0] for row in fake.tables.get("queries", [])),
            lambda: fake.faults.append("queries"),
            waiting.stop,
        )
        return
    settings: ClickHouseSettings = request.getfixturevalue("clickhouse_settings")
    client = connect(settings, create_database=True)
    migrate(client)
    flaky = FlakyClient(client)
    persistence = Persistence(waiting, lambda: 0.0)
    yield InsertsMember(
        ClickHouseInserts(cast(Client, flaky), persistence, Telemetry()),
        lambda: [
            r[0] for r in client.query("SELECT event_id FROM v_queries ORDER BY 1").result_rows
        ],
        flaky.fail_once,
        waiting.stop,
    )
    client.close()


def batch(*query_ids: str) -> dict[Position, list[Row]]:
    """One row for each query; a row that cannot land for POISON."""
    made: dict[Position, list[Row]] = {}
    for offset, query_id in enumerate(query_ids):
        position = Position("queries", 0, offset)
        ((_, row),) = rows_of(query(query_id), position)
        if query_id == POISON:
            row = tuple(POISON if column == "ts" else value
                        for column, value in zip(QUERIES.columns, row, strict=True))  # fmt: skip
        made[position] = [row]
    return made


def test_rows_are_there_when_land_returns(member: InsertsMember) -> None:
    assert member.inserts.land(QUERIES, batch("a", "b")) == {}
    assert member.rows() == ["e-a", "e-b"]


def test_the_refused_are_named_and_their_neighbours_land(member: InsertsMember) -> None:
    refused = member.inserts.land(QUERIES, batch("a", POISON, "c", "d", POISON))
    assert set(refused) == {Position("queries", 0, 1), Position("queries", 0, 4)}
    assert all("queries" in reason for reason in refused.values())
    assert member.rows() == ["e-a", "e-c", "e-d"]


def test_the_same_rows_again_double_nothing(member: InsertsMember) -> None:
    for _ in range(2):
        member.inserts.land(QUERIES, batch("a", "b"))
    assert member.rows() == ["e-a", "e-b"]


def test_other_rows_at_the_same_positions_are_never_swallowed(member: InsertsMember) -> None:
    # A topic that was made again counts from 0; a refused chunk leaves its text to a neighbour.
    member.inserts.land(QUERIES, batch("a", "b"))
    member.inserts.land(QUERIES, batch("c", "d"))
    assert member.rows() == ["e-a", "e-b", "e-c", "e-d"]


def test_a_message_without_rows_lands_as_nothing(member: InsertsMember) -> None:
    nothing: dict[Position, list[Row]] = {Position("queries", 0, 0): []}
    assert member.inserts.land(INGEST_LEDGER, nothing) == {}
    assert member.inserts.land(QUERIES, nothing | {Position("queries", 0, 1): []}) == {}
    assert member.rows() == []


def test_a_fault_is_waited_out(member: InsertsMember) -> None:
    member.fail_once()
    assert member.inserts.land(QUERIES, batch("a")) == {}
    assert member.rows() == ["e-a"]


def test_a_wait_ends_when_the_process_shall_end(member: InsertsMember) -> None:
    member.fail_once()
    member.stop()
    with pytest.raises(StopRequestedError):
        member.inserts.land(QUERIES, batch("a"))
    assert member.rows() == []


@dataclass
class OutletMember:
    """An `Outlet` and what only the test may do with it."""

    outlet: Outlet
    sent: Callable[[], list[tuple[bytes | None, bytes | None]]]
    fail: Callable[[], None]
    repair: Callable[[], None]


@pytest.fixture(params=["fake", "kafka"])
def outlet(request: pytest.FixtureRequest) -> Iterator[OutletMember]:
    if request.param == "fake":
        fake = FakeOutlet([])
        yield OutletMember(
            fake,
            lambda: [(out.key, out.value) for out in fake.sent],
            lambda: setattr(fake, "faults", 1),
            lambda: None,
        )
        return
    with MockKafka("grading", "deadletters") as broker:
        # Short, so that a message fails while the broker is down.
        settings = KafkaSettings(kafka_bootstrap_servers=broker.servers, topic_prefix="")
        made = KafkaOutlet(Publisher(settings, timeout_s=3.0))
        yield OutletMember(
            made,
            lambda: [*broker.read("grading"), *broker.read("deadletters")],
            broker.down,
            broker.up,
        )
        made.close()


JOB, LETTER = examples()["grading"], examples()["deadletters"]
assert isinstance(JOB, GradingJob)
assert isinstance(LETTER, DeadLetter)
MESSAGES = [job_message(JOB), letter_message(LETTER)]
EXPECTED = [(message.key, message.value) for message in MESSAGES]


def test_everything_is_in_kafka_when_deliver_returns(outlet: OutletMember) -> None:
    outlet.outlet.deliver(MESSAGES)
    assert outlet.sent() == EXPECTED


def test_a_failed_delivery_is_told_and_repeated_in_full(outlet: OutletMember) -> None:
    outlet.fail()
    with pytest.raises(UnavailableError):
        outlet.outlet.deliver(MESSAGES)
    outlet.repair()
    outlet.outlet.deliver(MESSAGES)
    assert set(outlet.sent()) == set(EXPECTED)
