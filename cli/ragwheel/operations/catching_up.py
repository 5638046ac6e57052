"""Waiting until intake has landed what it had in hand."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from ragwheel.backends.forgotten import REFRESH_S
from ragwheel.backends.positions import Broker

_POLL_S = 0.5


@dataclass
class CatchingUp:
    """Waits for what intake may have in hand.

    Attributes:
        group: of intake.
        deadline: by the monotonic clock.
        tell: hears of a wait.
    """

    broker: Broker
    group: str
    deadline: float
    tell: Callable[[str], None]

    def overdue(self) -> bool:
        """Whether the time is over."""
        return time.monotonic() > self.deadline

    def caught_up(self) -> int:
        """Wait until it has landed all that it read without knowing of a tombstone set before.

        Returns:
            How many messages of these are left when the time is over.
        """
        # Batches that begin later know of it; those that began before are of messages before these.
        time.sleep(REFRESH_S + 1)
        partitions = self.broker.partitions()
        ends = self.broker.ends(partitions)
        told = False
        while True:
            committed = self.broker.committed(self.group, partitions)
            left = sum(
                max(0, high - committed.get(place, low)) for place, (low, high) in ends.items()
            )
            if not left or self.overdue():
                return left
            if not told:
                self.tell(f"intake has {left:,} messages to read; what it lands of them goes too")
                told = True
            time.sleep(_POLL_S)
