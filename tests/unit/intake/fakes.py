"""Stand-ins for intake's neighbours. tests/contract/intake holds them to the contracts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from ragwheel.backends.publish import Outgoing
from ragwheel.intake.offsets import Coverage, Span
from ragwheel.schemas.errors import UnavailableError
from ragwheel.schemas.tables import Row, Table
from ragwheel.schemas.topics import TOPICS, Partition, Position, TopicName
from ragwheel.schemas.wire import Received

#: A value that no column takes.
POISON = "poison"


def spans_of(messages: Iterable[Received]) -> list[Span]:
    """What these messages cover, as a consumer would say it that read nothing else."""
    coverage = Coverage()
    for message in messages:
        place = Partition(message.topic, message.partition)
        if coverage.expects(place) is None:
            coverage.begin(place, message.offset)
        coverage.take(place, message.offset, message.origin)
    return coverage.finish()


class FakeInserts:
    """ClickHouse as dictionaries; each fault costs one wait.

    Attributes:
        tables: rows by table; one that agrees with an earlier one in the identity replaces it.
        faults: tables whose next insert fails.
    """

    def __init__(self, diary: list[str], wait: Callable[[float], None]) -> None:
        self.tables: dict[str, list[Row]] = {}
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
        landing = [row for at in rows if at not in refused for row in rows[at]]
        if landing:
            self._diary.append(table.name)
        places = [table.columns.index(name) for name in table.identity]
        merged = {
            tuple(row[place] for place in places): row
            for row in [*self.tables.get(table.name, []), *landing]
        }
        if merged:
            self.tables[table.name] = list(merged.values())
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


class FakeBroker:
    """What `following.Positions` asks: one partition as the other, from 0 to 1,000,000.

    Attributes:
        committed_offsets: of the group.
        low: the oldest offset that is kept.
        faults: how many of the next questions fail.
    """

    def __init__(self, faults: int = 0) -> None:
        self.committed_offsets: dict[tuple[str, int], int] = {}
        self.low = 0
        self.faults = faults
        self._incarnation = 1

    def make_again(self) -> None:
        """Delete the topics and create them."""
        self._incarnation += 1

    def origins(self) -> dict[TopicName, str]:
        if self.faults:
            self.faults -= 1
            raise UnavailableError("kafka is down")
        return dict.fromkeys(TOPICS, f"o-{self._incarnation}")

    def committed(self, _: str, partitions: Iterable[Partition]) -> dict[Partition, int]:
        return {p: self.committed_offsets[p] for p in partitions if p in self.committed_offsets}

    def ends(self, partitions: Iterable[Partition]) -> dict[Partition, tuple[int, int]]:
        return dict.fromkeys(partitions, (self.low, 1000000))
