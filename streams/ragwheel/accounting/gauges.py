"""The accounts as metrics."""

from __future__ import annotations

from collections.abc import Iterable

from ragwheel.accounting.accounts import TopicAccount
from ragwheel.backends.telemetry import Telemetry
from ragwheel.schemas import metrics


def publish(telemetry: Telemetry, accounts: Iterable[TopicAccount]) -> None:
    """Set the gauges. Every accounts worker shows the same: read them with max()."""
    for account in accounts:
        telemetry.set(metrics.PRODUCED, account.produced, topic=account.topic)
        telemetry.set(metrics.IN_FLIGHT, account.in_flight, topic=account.topic)
        telemetry.set(metrics.UNACCOUNTED, account.unaccounted, topic=account.topic)
