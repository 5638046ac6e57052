"""The accounts as metrics."""

from __future__ import annotations

from datetime import UTC, datetime

from ragwheel.accounting.accounts import TopicAccount
from ragwheel.accounting.gauges import publish, publish_unfinished
from ragwheel.accounting.ledger import Unfinished
from ragwheel.backends.telemetry import Telemetry
from ragwheel.schemas import metrics


def test_accounts_become_gauges_per_topic() -> None:
    telemetry = Telemetry()
    accounts = [
        TopicAccount("queries", produced=10, in_flight=3),
        TopicAccount("grading", produced=5, uncovered=1, ungraded_jobs=2),
    ]
    publish(telemetry, accounts, read_at=1_800_000_000.5)
    assert telemetry.value(metrics.PRODUCED, topic="queries") == 10
    assert telemetry.value(metrics.IN_FLIGHT, topic="queries") == 3
    assert telemetry.value(metrics.UNACCOUNTED, topic="queries") == 0
    assert telemetry.value(metrics.UNACCOUNTED, topic="grading") == 3
    assert telemetry.value(metrics.ACCOUNTS_READ) == 1_800_000_000.5


def test_unfinished_work_is_shown_by_status_and_age_and_gone_when_it_is_done() -> None:
    telemetry = Telemetry()
    since = datetime(2026, 11, 24, 12, tzinfo=UTC)
    found = [Unfinished("failed", 7, since), Unfinished("over_budget", 3, since)]
    publish_unfinished(telemetry, found, now=since.timestamp() + 90)
    assert telemetry.value(metrics.UNFINISHED_LABELS, status="failed") == 7
    assert telemetry.value(metrics.UNFINISHED_LABELS_AGE, status="over_budget") == 90
    publish_unfinished(telemetry, found[:1], now=since.timestamp() + 95)
    shown = telemetry.registry.get_sample_value
    assert shown(metrics.UNFINISHED_LABELS.name, {"status": "over_budget"}) is None
