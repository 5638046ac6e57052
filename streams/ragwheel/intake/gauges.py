"""What intake shows before anything happened, and how fresh ClickHouse is."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import get_args

from ragwheel.backends.telemetry import Telemetry
from ragwheel.schemas import metrics
from ragwheel.schemas.events import DeadLetterReason
from ragwheel.schemas.topics import TOPICS, TopicName

_REFRESH_S = 1.0


def declare(telemetry: Telemetry) -> None:
    """Show counters with closed label sets at 0.

    A counter that is born with its first event never rises for `rate()`, so an alert on it would
    sleep through the first burst.
    """
    for topic in TOPICS:
        telemetry.inc(metrics.CONSUMED, 0, topic=topic)
        telemetry.inc(metrics.LANDED, 0, topic=topic)
        telemetry.inc(metrics.FORGOTTEN, 0, topic=topic)
        for reason in get_args(DeadLetterReason):
            telemetry.inc(metrics.DEAD_LETTERED, 0, topic=topic, reason=reason)


@dataclass
class Freshness:
    """The age of the newest event of each topic that landed through this process.

    Attributes:
        now: the wall clock, UTC.
        clock: seconds, monotonic.
    """

    telemetry: Telemetry
    now: Callable[[], datetime]
    clock: Callable[[], float] = time.monotonic
    _newest: dict[TopicName, datetime] = field(default_factory=dict, init=False)
    _shown_at: float = field(default=-_REFRESH_S, init=False)

    def landed(self, topic: TopicName, ts: datetime) -> None:
        """An event of that time is readable now."""
        self._newest[topic] = max(ts, self._newest.get(topic, ts))

    def show(self) -> None:
        """Set the gauges; at most once a second, however often it is called."""
        if self.clock() < self._shown_at + _REFRESH_S:
            return
        self._shown_at = self.clock()
        now = self.now()
        for topic, ts in self._newest.items():
            self.telemetry.set(metrics.FRESHNESS, (now - ts).total_seconds(), topic=topic)
