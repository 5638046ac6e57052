"""What is forgotten, as ClickHouse tells it: read once in whole, then what is new."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC
from typing import TYPE_CHECKING

from ragwheel.schemas.errors import UnavailableError
from ragwheel.schemas.tombstones import Tombstones

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

#: A worker may act on what was known so many seconds ago; whoever forgets waits longer.
REFRESH_S = 2.0

#: Replicas may show a row late: an hour is read again.
_SQL = """
SELECT kind, hash, at, toUnixTimestamp(landed_at)
FROM forgotten
WHERE landed_at >= toDateTime({since:UInt32}, 'UTC') - INTERVAL 1 HOUR
"""


@dataclass
class ForgottenReader:
    """Keeps `tombstones` current. For one thread, with a client that this thread may use.

    Attributes:
        clock: seconds, monotonic.
    """

    client: Client
    tombstones: Tombstones = field(default_factory=Tombstones)
    clock: Callable[[], float] = time.monotonic
    _read_at: float = field(default=float("-inf"), init=False)
    _since: int = field(default=3600, init=False)

    def refresh(self) -> None:
        """Read what is new, at most every `REFRESH_S` seconds, however often it is called.

        Raises:
            UnavailableError: ClickHouse did not answer; what is known stays.
        """
        from clickhouse_connect.driver.exceptions import ClickHouseError
        from urllib3.exceptions import HTTPError

        asked_at = self.clock()
        if asked_at < self._read_at + REFRESH_S:
            return
        try:
            rows = self.client.query(_SQL, parameters={"since": self._since}).result_rows
        except (ClickHouseError, HTTPError, OSError) as error:
            raise UnavailableError(f"what is forgotten cannot be read: {error}") from error
        for kind, hashed, at, landed_at in rows:
            self.tombstones.add(kind, hashed, at.replace(tzinfo=UTC))
            self._since = max(self._since, landed_at)
        self._read_at = asked_at
