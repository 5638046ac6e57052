"""The accounting gauges, refreshed in the background of an intake process."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import get_args

from clickhouse_connect.driver.exceptions import ClickHouseError

from ragwheel.accounting.accounts import TopicAccount
from ragwheel.backends.telemetry import Telemetry
from ragwheel.schemas import metrics
from ragwheel.schemas.errors import RagwheelError
from ragwheel.schemas.events import DeadLetterReason
from ragwheel.schemas.topics import TOPICS, TopicName

_LOG = logging.getLogger(__name__)

REFRESH_S = 5.0


def declare(telemetry: Telemetry) -> None:
    """Show every family, and counters with closed label sets at 0.

    A counter that is born with its first event never rises for `rate()`, so an alert on it would
    sleep through the first burst.
    """
    telemetry.declare(*(metric for metric in metrics.ALL_METRICS if metric.process == "intake"))
    for topic in TOPICS:
        telemetry.inc(metrics.CONSUMED, 0, topic=topic)
        telemetry.inc(metrics.LANDED, 0, topic=topic)
        for reason in get_args(DeadLetterReason):
            telemetry.inc(metrics.DEAD_LETTERED, 0, topic=topic, reason=reason)


def publish(
    telemetry: Telemetry,
    accounts: Iterable[TopicAccount],
    newest: Mapping[TopicName, datetime],
    now: datetime,
) -> None:
    """Set the gauges. Every process of a group shows the same accounts: read them with max()."""
    for account in accounts:
        telemetry.set(metrics.PRODUCED, account.produced, topic=account.topic)
        telemetry.set(metrics.IN_FLIGHT, account.in_flight, topic=account.topic)
        telemetry.set(metrics.UNACCOUNTED, account.unaccounted, topic=account.topic)
    for topic, ts in dict(newest).items():
        telemetry.set(metrics.FRESHNESS, (now - ts).total_seconds(), topic=topic)


class GaugeThread:
    """Calls `refresh` every few seconds; a failure is logged once and ends with a success.

    Args:
        refresh: reads the accounts and publishes them.
    """

    def __init__(self, refresh: Callable[[], None], every_s: float = REFRESH_S) -> None:
        self._refresh = refresh
        self._every_s = every_s
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="accounts", daemon=True)

    def start(self) -> None:
        """Start; the first refresh is at once."""
        self._thread.start()

    def stop(self) -> None:
        """End, waiting a moment for a refresh in progress."""
        self._end.set()
        self._thread.join(timeout=2.0)

    def _run(self) -> None:
        failing = False
        while not self._end.is_set():
            try:
                self._refresh()
            except (RagwheelError, ClickHouseError) as error:
                if not failing:
                    _LOG.warning("accounts cannot be read, their gauges stand still: %s", error)
                failing = True
            else:
                failing = False
            self._end.wait(self._every_s)
