"""The accounts process: signals, and everything that accounts need, put together.

It never belongs to a consumer group, and writes nothing but what it has seen so far. One is enough;
more show the same numbers.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from threading import Event
from typing import TYPE_CHECKING

from clickhouse_connect.driver.exceptions import ClickHouseError
from urllib3.exceptions import HTTPError

from ragwheel.accounting.gauges import publish, publish_unfinished
from ragwheel.accounting.reader import AccountReader, Groups
from ragwheel.backends import kafka, process
from ragwheel.backends.migrate import open_tables
from ragwheel.backends.telemetry import Telemetry
from ragwheel.schemas.errors import TransientError
from ragwheel.schemas.settings import AccountsSettings

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

_LOG = logging.getLogger(__name__)

#: No question to Kafka or ClickHouse stays unanswered for so long.
_READ_S = 300
#: A server is away, or its tables are not made yet. Anything else is a fault of ours.
_AWAY = (TransientError, ClickHouseError, HTTPError, OSError)
#: Between two times of storing what was seen: a restart reads the ledger of so long again.
_STORE_EVERY_S = 60.0


def main() -> int:
    """Show the accounts until SIGTERM or Ctrl-C; returns the exit status."""
    return process.main("accounts", AccountsSettings, run)


def run(settings: AccountsSettings, telemetry: Telemetry) -> None:
    """Serve metrics and read the accounts again and again until a signal says stop.

    Kafka and ClickHouse may be away, and topics and tables missing, at the start too.

    Raises:
        ConfigError: a setting is wrong.
    """
    stop = Event()
    process.on_stop(stop.set)
    telemetry.serve(settings)
    source = _Source(settings)
    _LOG.info("accounts of %s* every %g s", settings.topic_prefix, settings.accounts_refresh_s)

    def refresh() -> None:
        telemetry.turned(settings.accounts_refresh_s + _READ_S)
        source.show(telemetry)

    try:
        keep_current(refresh, settings.accounts_refresh_s, stop.wait)
    finally:
        source.close()
    _LOG.info("accounts ended")


def keep_current(
    refresh: Callable[[], None], every_s: float, wait: Callable[[float], bool]
) -> None:
    """Refresh now and then every `every_s` seconds; gauges stand still while a server is away.

    An outage is logged when it begins and when it ends. Any other error is raised: a process that
    ends is seen and started again, one that only stops counting is not.

    Args:
        wait: waits that many seconds; True once the process shall end.
    """
    failing = False
    ended = False
    while not ended:
        try:
            refresh()
        except _AWAY as error:
            if not failing:
                _LOG.warning("accounts cannot be read, their gauges stand still: %s", error)
            failing = True
        else:
            if failing:
                _LOG.warning("accounts are read again")
            failing = False
        ended = wait(every_s)


class _Source:
    """The accounts of the settings' servers; connects at the first read that finds them."""

    def __init__(self, settings: AccountsSettings) -> None:
        self._settings = settings
        self._client: Client | None = None
        self._reader: AccountReader | None = None
        self._stored = float("-inf")

    def show(self, telemetry: Telemetry) -> None:
        """Read, set the gauges, and now and then store what was seen."""
        if self._reader is None:
            kafka.require_topics(self._settings)
            self._client = open_tables(self._settings)
            groups = Groups(self._settings.intake_group, self._settings.grader_group)
            self._reader = AccountReader(self._settings, self._client, groups)
        publish(telemetry, self._reader.read(), read_at=time.time())
        if time.monotonic() - self._stored >= _STORE_EVERY_S:
            self._reader.store()
            publish_unfinished(telemetry, self._reader.unfinished(), now=time.time())
            self._stored = time.monotonic()

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()
        if self._client is not None:
            self._client.close()
