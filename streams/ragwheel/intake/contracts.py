"""What the parts of intake promise each other: when called, may it wait, may it raise, again?

Everything runs on one thread. "Waits" means: for as long as a fault lasts, while the process stays
a live member of its group; only StopRequestedError ends such a wait. An error that is not named
here ends the process, and a new one continues from the committed offsets.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from ragwheel.backends.publish import Outgoing
from ragwheel.intake.offsets import Span
from ragwheel.schemas.events import Record
from ragwheel.schemas.tables import Row, Table
from ragwheel.schemas.topics import Position
from ragwheel.schemas.wire import Received


class Reader(Protocol):
    """What a message of one topic says. `readers.READERS` has one for each topic."""

    def __call__(self, message: Received) -> Iterable[Record]:
        """The records of this message, always the same ones in the same order.

        Called once per message and attempt at a batch. Must not wait: no I/O, no clock, no random
        source. Never retried: what it raises is about the message, for good.

        Raises:
            InvalidEventError: the message becomes a dead letter with that reason.
            ValueError, TypeError, ArithmeticError, RecursionError: it becomes one as
                `processing_failed`.
        """


class Inserts(Protocol):
    """The way into ClickHouse."""

    def land(self, table: Table, rows: Mapping[Position, Sequence[Row]]) -> dict[Position, str]:
        """Insert these messages' rows; when it returns, ClickHouse has all but the refused.

        Called per table of a batch, again after a refusal, and last for the ledger. Waits. Rows
        that land again after a crash replace their first copies (`Table.identity`).

        Args:
            rows: all rows of each message that go into this table; a message may have none.

        Returns:
            Messages with a row that can never land, and why. None of their rows landed in this
            call; all others did.

        Raises:
            StopRequestedError: the process shall end; some rows may have landed.
        """


class Outlet(Protocol):
    """The way back into Kafka."""

    def deliver(self, messages: Iterable[Outgoing]) -> None:
        """Send all; when it returns, every in-sync replica has them.

        Called at most once per attempt at a batch, after its rows have landed. Waits for the
        broker's answers. The caller repeats it with the same messages until it succeeds; readers
        see a repetition as the same job or letter.

        Raises:
            UnavailableError: some were not acknowledged; all have to be sent again.
            StopRequestedError: the process shall end; some may have been sent.
        """


class BatchWork(Protocol):
    """What happens between reading messages and committing their offsets."""

    def process(self, messages: Sequence[Received], spans: Sequence[Span]) -> None:
        """Make durable what these messages became; when it returns, their offsets may be committed.

        Called with each batch, never with none, in the order of each partition. Waits. The same
        messages come again after a crash or a rebalance.

        Args:
            spans: what of each partition the messages are, for the ledger.

        Raises:
            StopRequestedError: the process shall end; nothing of this batch may be committed.
        """
