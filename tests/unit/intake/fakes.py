"""Stand-ins for intake's neighbours. tests/contract/intake holds them to the contracts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from ragwheel.backends.publish import Outgoing
from ragwheel.schemas.errors import UnavailableError
from ragwheel.schemas.tables import Row, Table
from ragwheel.schemas.topics import Position

#: A value that no column takes.
POISON = "poison"


class FakeInserts:
    """ClickHouse as dictionaries; each fault costs one wait.

    Attributes:
        tables: rows by table.
        names: what each insert was named for: table and positions.
        faults: tables whose next insert fails.
    """

    def __init__(self, diary: list[str], wait: Callable[[float], None]) -> None:
        self.tables: dict[str, list[Row]] = {}
        self.names: list[tuple[str, tuple[Position, ...]]] = []
        self.faults: list[str] = []
        self._diary = diary
        self._wait = wait

    def land(self, table: Table, rows: Mapping[Position, Sequence[Row]]) -> dict[Position, str]:
        refused = {
            position: f"{table.name}: no"
            for position, of_message in rows.items()
            if any(POISON in row for row in of_message)
        }
        while self.faults and self.faults[0] == table.name:
            self.faults.pop(0)
            self._wait(1.0)
        fine = [position for position in rows if position not in refused]
        name = (table.name, tuple(sorted(fine)))
        landing = [row for position in fine for row in rows[position]]
        if landing and name not in self.names:
            self._diary.append(table.name)
            self.names.append(name)
            self.tables.setdefault(table.name, []).extend(landing)
        return refused


class FakeOutlet:
    """Kafka as a list.

    Attributes:
        faults: how many of the next deliveries fail.
    """

    def __init__(self, diary: list[str]) -> None:
        self.sent: list[Outgoing] = []
        self.faults = 0
        self._diary = diary

    def deliver(self, messages: Iterable[Outgoing]) -> None:
        if self.faults:
            self.faults -= 1
            raise UnavailableError("kafka is down")
        self._diary.append("deliver")
        self.sent.extend(messages)
