"""The accounts as metrics."""

from __future__ import annotations

from collections.abc import Iterable

from ragwheel.accounting.accounts import TopicAccount
from ragwheel.accounting.ledger import Unfinished
from ragwheel.backends.telemetry import Telemetry
from ragwheel.schemas import metrics


def publish(telemetry: Telemetry, accounts: Iterable[TopicAccount], read_at: float) -> None:
    """Set the gauges. Every accounts worker shows the same: read them with max().

    Args:
        read_at: seconds since 1970.
    """
    for account in accounts:
        telemetry.set(metrics.PRODUCED, account.produced, topic=account.topic)
        telemetry.set(metrics.IN_FLIGHT, account.in_flight, topic=account.topic)
        telemetry.set(metrics.UNACCOUNTED, account.unaccounted, topic=account.topic)
    telemetry.set(metrics.ACCOUNTS_READ, read_at)


def publish_unfinished(telemetry: Telemetry, found: Iterable[Unfinished], now: float) -> None:
    """Set the gauges of unfinished work; a status without any is no longer shown."""
    telemetry.clear(metrics.UNFINISHED_LABELS)
    telemetry.clear(metrics.UNFINISHED_LABELS_AGE)
    for each in found:
        telemetry.set(metrics.UNFINISHED_LABELS, each.labels, status=each.status)
        age_s = max(0.0, now - each.oldest.timestamp())
        telemetry.set(metrics.UNFINISHED_LABELS_AGE, age_s, status=each.status)
