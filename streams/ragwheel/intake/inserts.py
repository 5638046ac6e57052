"""Landing rows in ClickHouse: repeated until they are there, the refused ones found."""

from __future__ import annotations

import struct
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from clickhouse_connect.driver.exceptions import ClickHouseError, DataError, Error

from ragwheel.backends.telemetry import Telemetry
from ragwheel.intake.backoff import Persistence
from ragwheel.schemas import metrics
from ragwheel.schemas.errors import TerminalError, UnavailableError
from ragwheel.schemas.tables import Row, Table
from ragwheel.schemas.topics import Position

if TYPE_CHECKING:
    from clickhouse_connect.datatypes.base import ClickHouseType
    from clickhouse_connect.driver.client import Client

#: Server errors that only the data can cause. Anything else (no table, no memory, too many parts,
#: read-only …) is a fault of the server or of its operator and is waited out: no event is refused
#: because a table is missing.
_DATA_ERRORS = frozenset(
    {
        6,  # CANNOT_PARSE_TEXT
        27,  # CANNOT_PARSE_INPUT_ASSERTION_FAILED
        38,  # CANNOT_PARSE_DATE
        41,  # CANNOT_PARSE_DATETIME
        69,  # ARGUMENT_OUT_OF_BOUND
        70,  # CANNOT_CONVERT_TYPE
        72,  # CANNOT_PARSE_NUMBER
        117,  # INCORRECT_DATA
        128,  # TOO_LARGE_ARRAY_SIZE
        131,  # TOO_LARGE_STRING_SIZE
        321,  # VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE
        349,  # CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN
        407,  # DECIMAL_OVERFLOW
        469,  # VIOLATED_CONSTRAINT
    }
)
#: What the driver raises for a value that does not fit its column, before anything is sent.
_SERIALISATION_ERRORS = (
    DataError,
    struct.error,
    AttributeError,
    OverflowError,
    TypeError,
    ValueError,
)

_SETTINGS = {
    # We batch; the server's own batching would acknowledge or deduplicate on its terms.
    "async_insert": 0,
    # A replay after an outage may touch many months at once.
    "max_partitions_per_insert_block": 0,
}


class RowsRefusedError(TerminalError):
    """At least one row of the insert can never land."""


@dataclass(frozen=True)
class ClickHouseInserts:
    """`contracts.Inserts` over one database. Not thread-safe: it owns its client."""

    client: Client
    persistence: Persistence
    telemetry: Telemetry
    _types: dict[str, Sequence[ClickHouseType]] = field(default_factory=dict, init=False)

    def land(self, table: Table, rows: Mapping[Position, Sequence[Row]]) -> dict[Position, str]:
        """Insert all that can be inserted; halve until what cannot is alone.

        Costs one insert when all is well, and about 2·log2(n) more for each refused message.
        """
        return self._land(table, rows, list(rows))

    def _land(
        self, table: Table, rows: Mapping[Position, Sequence[Row]], positions: Sequence[Position]
    ) -> dict[Position, str]:
        flat = [row for position in positions for row in rows[position]]
        if not flat:
            return {}
        # One name for all attempts at this insert: what landed although its answer was lost is not
        # inserted again. Another insert has another name, so none is ever taken for this one.
        name = uuid.uuid4().hex
        try:
            self.persistence.until_done(
                f"insert into {table.name}",
                lambda: self._insert(table, flat, name),
                lambda: self.telemetry.inc(metrics.INSERT_ERRORS, table=table.name),
            )
        except RowsRefusedError as error:
            if len(positions) == 1:
                return {positions[0]: str(error)}
            middle = len(positions) // 2
            first, second = positions[:middle], positions[middle:]
            return self._land(table, rows, first) | self._land(table, rows, second)
        return {}

    def _insert(self, table: Table, rows: Sequence[Row], name: str) -> None:
        """Try once. ClickHouse drops a second insert of the same name.

        Raises:
            RowsRefusedError: a value does not fit, whenever and however often it is tried.
            UnavailableError: anything else; the same call may succeed later.
        """
        types = self._column_types(table)
        started = time.monotonic()
        try:
            self.client.insert(
                table.name,
                [list(column) for column in zip(*rows, strict=True)],
                column_names=table.columns,
                column_types=types,
                column_oriented=True,
                settings={**_SETTINGS, "insert_deduplication_token": name},
            )
        except _SERIALISATION_ERRORS as error:
            raise RowsRefusedError(f"{table.name}: {_words(error)}") from error
        except ClickHouseError as error:
            if isinstance(error, Error) and error.code in _DATA_ERRORS:
                raise RowsRefusedError(f"{table.name}: {_words(error)}") from error
            # The table may have been changed under us; ask for its types again.
            self._types.pop(table.name, None)
            raise UnavailableError(f"insert into {table.name}: {_words(error)}") from error
        self.telemetry.observe(metrics.INSERT_SECONDS, time.monotonic() - started, table=table.name)
        self.telemetry.inc(metrics.INSERT_ROWS, len(rows), table=table.name)

    def _column_types(self, table: Table) -> Sequence[ClickHouseType]:
        """Types from the server, asked once: the driver would ask before every insert."""
        known = self._types.get(table.name)
        if known is None:
            try:
                context = self.client.create_insert_context(table.name, list(table.columns))
            except ClickHouseError as error:
                raise UnavailableError(f"columns of {table.name}: {_words(error)}") from error
            known = self._types[table.name] = context.column_types
        return known


def _words(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0][:500]}"
