"""The accounts as metrics."""

from __future__ import annotations

from ragwheel.accounting.accounts import TopicAccount
from ragwheel.accounting.gauges import publish
from ragwheel.backends.telemetry import Telemetry
from ragwheel.schemas import metrics


def test_accounts_become_gauges_per_topic() -> None:
    telemetry = Telemetry()
    accounts = [
        TopicAccount("queries", produced=10, in_flight=3),
        TopicAccount("grading", produced=5, uncovered=1, ungraded_jobs=2),
    ]
    publish(telemetry, accounts)
    assert telemetry.value(metrics.PRODUCED, topic="queries") == 10
    assert telemetry.value(metrics.IN_FLIGHT, topic="queries") == 3
    assert telemetry.value(metrics.UNACCOUNTED, topic="queries") == 0
    assert telemetry.value(metrics.UNACCOUNTED, topic="grading") == 3
