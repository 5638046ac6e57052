"""Migrating a living database: beside another runner, after one died, with files that move rows."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any, cast

import pytest
from clickhouse_connect.driver.client import Client
from tests.rigs.children import environment

from ragwheel.backends.clickhouse import connect
from ragwheel.backends.migrate import migrate, pending
from ragwheel.schemas.errors import ConfigError, UnavailableError
from ragwheel.schemas.migrations import Migration, migrations, migrations_table, statements
from ragwheel.schemas.settings import ClickHouseSettings

TABLE = "CREATE TABLE IF NOT EXISTS {} (a UInt32) ENGINE = ReplacingMergeTree ORDER BY a;\n"
FILES = (
    Migration(1, "first", TABLE.format("t1") + TABLE.format("t2"), ""),
    Migration(2, "second", "ALTER TABLE t1 ADD COLUMN IF NOT EXISTS b UInt32 DEFAULT a + 1;", ""),
    Migration(3, "moving", "-- data: moves\nINSERT INTO t2 SELECT a FROM t1;\n", ""),
)
#: What rewrites or drops rows.
MOVES = re.compile(r"\b(INSERT|UPDATE|DELETE|MATERIALIZE|MODIFY|DROP|TRUNCATE|REPLACE(?! \())\b")


class Killed(BaseException):
    """The runner's process is gone; nothing of it runs any more."""


class Watched:
    """A client that calls back before each command of a file, and dies when it is told to."""

    def __init__(
        self,
        client: Client,
        before: Callable[[str], None] = lambda _: None,
        commands_to_live: float = float("inf"),
    ) -> None:
        self._client = client
        self._before = before
        self._left = commands_to_live
        self.database = client.database

    def command(self, text: str, *args: Any, **how: Any) -> object:
        if self._left <= 0:
            raise Killed
        self._left -= 1
        if text.startswith("/*"):
            self._before(text)
        return self._client.command(text, *args, **how)

    def query(self, text: str, *args: Any) -> object:
        if self._left <= 0:
            raise Killed
        return self._client.query(text, *args)


def watched(client: Client, **how: Any) -> Client:
    return cast(Client, Watched(client, **how))


@pytest.fixture
def opened(clickhouse_settings: ClickHouseSettings) -> Iterator[Callable[[], Client]]:
    """Opens clients of the test's own, empty database."""
    clients = [connect(clickhouse_settings, create_database=True)]

    def another() -> Client:
        clients.append(connect(clickhouse_settings))
        return clients[-1]

    yield another
    for client in clients:
        client.close()


@pytest.fixture
def client(opened: Callable[[], Client]) -> Client:
    return opened()


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> Callable[[tuple[Migration, ...]], None]:
    """Makes the given migrations all there are."""

    def install(given: tuple[Migration, ...]) -> None:
        monkeypatch.setattr("ragwheel.backends.migrate.migrations", lambda: given)

    install(FILES)
    return install


def tables(client: Client) -> dict[str, str]:
    """Every table's DDL, the runners' own aside."""
    rows = client.query(
        "SELECT name, create_table_query FROM system.tables "
        "WHERE database = currentDatabase() AND name != 'schema_migrations'"
    ).result_rows
    return {str(name): str(text) for name, text in rows}


def half_done(client: Client) -> list[str]:
    """Labels of files that a run began and none finished."""
    if not client.command("EXISTS TABLE schema_migrations"):
        return []
    rows = client.query(
        "SELECT version, name FROM schema_migrations GROUP BY version, name "
        "HAVING countIf(state = 'began') > 0 AND countIf(state = 'done') = 0"
    ).result_rows
    return [f"{version:04d}_{name}" for version, name in rows]


def test_every_statement_of_every_file_can_run_twice(client: Client) -> None:
    for way in ("up", "down", "up"):
        for migration in migrations() if way == "up" else reversed(migrations()):
            for statement in statements(getattr(migration, way)):
                client.command(statement)
                once = tables(client)
                client.command(statement)
                assert tables(client) == once, statement


def test_a_file_that_moves_rows_says_so() -> None:
    for migration in migrations():
        for statement in statements(migration.up):
            words = re.sub(r"--[^\n]*", "", statement)
            assert migration.moves_data or not MOVES.search(words), migration.label


def test_replicated_databases_get_replicated_engines_and_nothing_else_changes() -> None:
    for text in (migrations_table(), *(migration.up for migration in migrations())):
        plain = list(statements(text))
        replicated = list(statements(text, replicated=True))
        assert [one.replace("= Replicated", "= ") for one in replicated] == [
            one.replace("= Replicated", "= ") for one in plain
        ]
        for statement in replicated:
            engines = re.findall(r"ENGINE = (\w+)", statement)
            assert all(engine.startswith("Replicated") for engine in engines)


def test_a_run_that_died_between_any_two_commands_is_continued(
    opened: Callable[[], Client], files: object
) -> None:
    client, lived, alive = opened(), 0, False
    while not alive:
        for name in ("t1", "t2", "schema_migrations"):
            client.command(f"DROP TABLE IF EXISTS {name} SYNC")
        with suppress(Killed):
            migrate(watched(client, commands_to_live=lived))
            alive = True
        half = half_done(client)
        told: list[str] = []
        applied = migrate(client, silent_s=0, allow_data=True, tell=told.append)
        assert [line.split()[0] for line in told] == half
        assert [migration.label for migration in applied[:1] if half] == half
        assert pending(client) == []
        assert set(tables(client)) == {"t1", "t2"}
        assert "`b` UInt32" in tables(client)["t1"]
        lived += 1
    assert lived > 12


def test_a_killed_process_is_told_of_and_its_file_finished(
    opened: Callable[[], Client], clickhouse_settings: ClickHouseSettings
) -> None:
    client = opened()
    dying = subprocess.run(
        [sys.executable, "-c", DYING], env=environment(clickhouse_settings), check=False
    )
    assert dying.returncode == -signal.SIGKILL
    made = tables(client)
    assert made
    told: list[str] = []
    assert migrate(client, silent_s=0, tell=told.append) == list(migrations())
    assert len(told) == 1
    assert re.search(r"0001_tables was begun by .*pid \d+.* stopped after 7 statement", told[0])
    assert len(tables(client)) > len(made)
    assert migrate(client) == []


#: Migrates and kills itself with SIGKILL before the eighth statement.
DYING = """
import os, signal, sys
from ragwheel.backends.clickhouse import connect
from ragwheel.backends.migrate import migrate
from ragwheel.schemas.loading import load
from ragwheel.schemas.settings import ClickHouseSettings

client = connect(load(ClickHouseSettings))
command, left = client.command, 7
def dying(text, *args, **how):
    global left
    if text.startswith("/*"):
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1
    return command(text, *args, **how)
client.command = dying
migrate(client)
"""


def test_runners_at_once_run_every_statement_once_and_all_end_well(
    opened: Callable[[], Client], client: Client, files: object
) -> None:
    ran: list[str] = []
    applied: list[Migration] = []
    together = threading.Barrier(4)

    def run(own: Client) -> None:
        together.wait()
        applied.extend(migrate(watched(own, before=ran.append), tell=lambda _: None))

    runners = [threading.Thread(target=run, args=(opened(),)) for _ in range(4)]
    for runner in runners:
        runner.start()
    for runner in runners:
        runner.join()
    assert sorted(migration.version for migration in applied) == [1, 2, 3]
    assert [text.split("\n", 1)[1] for text in ran] == [
        statement for migration in FILES for statement in statements(migration.up)
    ]
    assert pending(client) == []


def test_beside_a_running_migration_one_refuses_and_says_who_runs_since_when(
    opened: Callable[[], Client], files: object
) -> None:
    refusals: list[UnavailableError] = []
    other = opened()

    def meanwhile(_: str) -> None:
        with pytest.raises(UnavailableError) as refused:
            migrate(other, wait_s=0)
        refusals.append(refused.value)

    assert migrate(watched(opened(), before=meanwhile)) == list(FILES)
    assert len(refusals) == 4
    assert re.search(
        r"\(pid \d+\) applies 0001_first since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC and has finished "
        r"1 statement.*If it died, run this again 30 s after",
        str(refusals[1]),
    )
    assert migrate(other, wait_s=0) == []


def test_a_runner_that_died_just_now_is_waited_for_until_it_was_silent_long_enough(
    opened: Callable[[], Client], files: object
) -> None:
    with pytest.raises(Killed):
        migrate(watched(opened(), commands_to_live=4))
    with pytest.raises(UnavailableError, match="applies 0001_first"):
        migrate(opened(), wait_s=0, silent_s=1_000)
    told: list[str] = []
    assert migrate(opened(), silent_s=0.5, tell=told.append) == list(FILES)
    assert "0001_first was begun by" in told[-1]


def test_a_statement_that_the_server_still_runs_is_a_sign_of_life(
    opened: Callable[[], Client], client: Client, files: Callable[[tuple[Migration, ...]], None]
) -> None:
    slow = "SELECT sleepEachRow(1) FROM numbers(600) SETTINGS max_block_size = 1;"
    files((Migration(1, "slow", slow, ""),))
    own, failed = opened(), threading.Event()

    def run() -> None:
        try:
            migrate(own)
        except UnavailableError:
            failed.set()

    runner = threading.Thread(target=run)
    runner.start()
    # The server is shared: other tests migrate their own databases there.
    asked = (
        "SELECT query_id FROM system.processes WHERE current_database = currentDatabase() "
        "AND startsWith(query, '/* ragwheel migrate') AND query LIKE '%sleepEachRow%'"
    )
    while not (found := client.query(asked).result_rows):
        time.sleep(0.05)
    with pytest.raises(UnavailableError, match="applies 0001_slow"):
        migrate(client, wait_s=0, silent_s=0)
    client.command("KILL QUERY WHERE query_id = {id:String} SYNC", {"id": found[0][0]})
    runner.join()
    assert failed.is_set()


def test_a_refused_statement_lets_the_next_run_go_on_at_once_with_the_file_repaired(
    opened: Callable[[], Client], files: Callable[[tuple[Migration, ...]], None]
) -> None:
    files((replace(FILES[0], up=FILES[0].up + "ALTER TABLE nothing DELETE WHERE 1;"), *FILES[1:]))
    with pytest.raises(UnavailableError, match="ClickHouse refused the migrations"):
        migrate(opened())
    files(FILES)
    told: list[str] = []
    assert migrate(opened(), wait_s=0, allow_data=True, tell=told.append) == list(FILES)
    assert "stopped after 2 statement(s)" in told[0]


def test_nothing_runs_while_an_applied_file_is_changed(
    client: Client, files: Callable[[tuple[Migration, ...]], None]
) -> None:
    files(FILES[:1])
    migrate(client)
    files((replace(FILES[0], up=FILES[0].up + "-- and more\n"), FILES[1]))
    before = tables(client)
    for call in (migrate, pending):
        with pytest.raises(ConfigError, match="0001_first was changed after it was applied"):
            call(client)
    assert tables(client) == before


def test_a_file_that_moves_rows_waits_for_a_persons_word(
    client: Client, files: Callable[[tuple[Migration, ...]], None]
) -> None:
    files(FILES[:1])
    migrate(client)
    files(FILES)
    with pytest.raises(ConfigError, match=r"0003_moving would move data.*--allow-data"):
        migrate(client)
    assert pending(client) == [FILES[2]]
    assert client.command("SELECT count() FROM t2") == 0
    assert migrate(client, allow_data=True, wait_s=0) == [FILES[2]]


def test_a_database_that_is_not_there_yet_lacks_everything(
    clickhouse_settings: ClickHouseSettings,
) -> None:
    client = connect(clickhouse_settings)
    assert pending(client) == list(migrations())
    client.close()


def test_an_empty_database_has_no_rows_to_ask_about(client: Client, files: object) -> None:
    assert migrate(client) == list(FILES)
