"""Brings the tables of a living database up to date, and keeps account of it there.

Runners tell each other of their work in `schema_migrations`, to which rows are only added, because
ClickHouse has no locks. Runners on one server are kept apart exactly; two that ask two replicas
may overlap by the delay of the replication, which is harmless: every statement can run twice.
"""

from __future__ import annotations

import logging
import os
import socket
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from ragwheel.backends.clickhouse import connect
from ragwheel.schemas.errors import ConfigError, UnavailableError
from ragwheel.schemas.migrations import Migration, migrations, migrations_table, statements
from ragwheel.schemas.settings import ClickHouseSettings

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

_LOG = logging.getLogger(__name__)

#: So long after its last row, and with no statement on the server, a runner counts as dead.
SILENT_S = 30.0
_POLL_S = 0.2

_State = Literal["waits", "began", "done", "stopped"]
_MARK = (
    "INSERT INTO schema_migrations SELECT {version:UInt32}, {name:String}, {checksum:String}, "
    "{run_id:String}, {runner:String}, {state:String}, {statements:UInt32}, now64(6)"
)
# A statement names its run in a comment, so that one on the server is a sign of life.
_OTHERS = """
SELECT run_id, any(runner), argMax(state, (at, statements)) AS last_state,
    countIf(state = 'began') > 0, formatDateTime(min(at), '%F %T UTC'), max(statements),
    last_state IN ('waits', 'began') AND max(at) > now64(6) - toIntervalMillisecond({silent:UInt32})
    OR run_id IN (SELECT extract(query, 'ragwheel migrate (\\w+)') FROM system.processes)
FROM schema_migrations
WHERE version = {version:UInt32} AND run_id != {run_id:String}
GROUP BY run_id
ORDER BY max(at)
"""
_OUR_TABLES = "SHOW TABLES NOT LIKE 'schema_migrations'"


def pending(client: Client) -> list[Migration]:
    """Migrations that the database lacks, oldest first. Changes nothing.

    Raises:
        ConfigError: an applied migration's file was changed afterwards.
    """
    applied: dict[int, str] = {}
    known = f"EXISTS TABLE {client.database}.schema_migrations"
    if client.command(known, use_database=False):  # the database may not exist either
        done = "SELECT version, checksum FROM schema_migrations WHERE state = 'done'"
        applied.update((row[0], row[1]) for row in client.query(done).result_rows)
    for migration in migrations():
        if applied.get(migration.version, migration.checksum) != migration.checksum:
            raise ConfigError(
                f"migration {migration.label} was changed after it was applied; restore the file "
                "and put the change into a new migration"
            )
    return [migration for migration in migrations() if migration.version not in applied]


def open_tables(settings: ClickHouseSettings) -> Client:
    """A client of a database that has this version's tables. Processes never make them.

    Raises:
        ConfigError, UnavailableError: as `connect`; or migrations are missing.
    """
    client = connect(settings)
    try:
        missing = [migration.label for migration in pending(client)]
    except BaseException:
        client.close()
        raise
    if missing:
        client.close()
        raise UnavailableError(
            f"the database of {settings.clickhouse_url} lacks {', '.join(missing)}: run "
            "`ragwheel migrate`"
        )
    return client


def migrate(
    client: Client,
    *,
    replicated: bool = False,
    allow_data: bool = False,
    wait_s: float = 60.0,
    silent_s: float = SILENT_S,
    tell: Callable[[str], None] = _LOG.warning,
) -> list[Migration]:
    """Apply what is missing, in order. Safe to run again, beside others, and after one died.

    Args:
        allow_data: also apply files that move data; a database without tables needs no leave.
        wait_s: how long to wait for another runner, for each file.
        tell: hears of waiting, and of a file whose former run stopped half-way.

    Returns:
        The migrations that this run applied; another runner has applied the others.

    Raises:
        ConfigError: an applied file was changed, or one moves data without leave.
        UnavailableError: another runner is at work, or ClickHouse refused a statement.
    """
    from clickhouse_connect.driver.exceptions import ClickHouseError

    try:
        missing = pending(client)
        if not missing:
            return []
        may_move = allow_data or not client.query(_OUR_TABLES).result_rows
        client.command(next(statements(migrations_table(), replicated=replicated)))
        run = _Run(client, wait_s, silent_s, tell)
        return [migration for migration in missing if run.apply(migration, replicated, may_move)]
    except ClickHouseError as error:
        raise UnavailableError(f"ClickHouse refused the migrations: {error}") from error


class _Other(NamedTuple):
    """Another run of the same file, as the table tells of it."""

    run_id: str
    runner: str
    state: _State
    began: bool
    since: str
    statements: int
    alive: bool


@dataclass
class _Run:
    """One runner. Its rows say waits → began (before each statement) → done, or stopped."""

    client: Client
    wait_s: float
    silent_s: float
    tell: Callable[[str], None]

    def __post_init__(self) -> None:
        self.id = uuid.uuid4().hex
        self._who = {"run_id": self.id, "runner": f"{socket.gethostname()} (pid {os.getpid()})"}

    def apply(self, migration: Migration, replicated: bool, may_move: bool) -> bool:
        """Run a file to its end; False when another runner has done it."""
        from clickhouse_connect.driver.exceptions import ClickHouseError
        from urllib3.exceptions import HTTPError

        finished = 0
        try:
            if not self._claim(migration):
                return False
            if migration.moves_data and not may_move:
                raise ConfigError(
                    f"{migration.label} would move data: read `ragwheel migrate --dry-run`, back "
                    "up what it changes, then run `ragwheel migrate --allow-data`"
                )
            for statement in statements(migration.up, replicated=replicated):
                self._mark(migration, "began", finished)
                self.client.command(f"/* ragwheel migrate {self.id} */\n{statement}")
                finished += 1
        except BaseException:
            # What ended the run is told, also where the server cannot note it.
            with suppress(ClickHouseError, HTTPError, OSError):
                self._mark(migration, "stopped", finished)
            raise
        self._mark(migration, "done", finished)
        return True

    def _claim(self, migration: Migration) -> bool:
        """Wait until this run alone may apply the file; False when it is done meanwhile.

        A run goes on once its claim is in the table and it then sees no other run alive: of two
        claims the later always sees the earlier. Of several that see each other, all but the
        smallest id withdraw, so one gets through.
        """
        deadline, claimed, told = time.monotonic() + self.wait_s, False, False
        while True:
            others = self._others(migration)
            if any(other.state == "done" for other in others):
                return False
            alive = [other for other in others if other.alive]
            if claimed and not alive:
                break
            give_way = any(other.state == "began" or other.run_id < self.id for other in alive)
            if claimed or not give_way:
                self._mark(migration, "stopped" if give_way else "waits", 0)
            claimed = not give_way
            if not alive:
                continue
            if time.monotonic() >= deadline:
                raise UnavailableError(
                    f"{alive[-1].runner} applies {migration.label} since {alive[-1].since} and has "
                    f"finished {alive[-1].statements} statement(s). Wait for it. If it died, run "
                    f"this again {self.silent_s:g} s after its end, when the server runs none of "
                    "its statements: the file is then continued"
                )
            if not told:
                self.tell(f"waiting for {alive[-1].runner}, which applies {migration.label}")
                told = True
            time.sleep(_POLL_S)
        if half := [other for other in others if other.began]:
            self.tell(
                f"{migration.label} was begun by {half[-1].runner} at {half[-1].since} and stopped "
                f"after {half[-1].statements} statement(s); all of its statements run again"
            )
        return True

    def _others(self, migration: Migration) -> list[_Other]:
        asked = {"version": migration.version, "silent": round(self.silent_s * 1000)}
        return [_Other(*row) for row in self.client.query(_OTHERS, asked | self._who).result_rows]

    def _mark(self, migration: Migration, state: _State, finished: int) -> None:
        file = {name: getattr(migration, name) for name in ("version", "name", "checksum")}
        self.client.command(_MARK, file | self._who | {"state": state, "statements": finished})
