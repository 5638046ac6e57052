"""The accounting gauges."""

from __future__ import annotations

import logging
import threading
from datetime import timedelta

import pytest
from tests.examples import NOW

from ragwheel.accounting.accounts import TopicAccount
from ragwheel.backends.telemetry import Telemetry
from ragwheel.intake.gauges import GaugeThread, publish
from ragwheel.schemas import metrics
from ragwheel.schemas.errors import UnavailableError


def test_accounts_become_gauges_per_topic() -> None:
    telemetry = Telemetry()
    accounts = [
        TopicAccount("queries", produced=10, in_flight=3),
        TopicAccount("grading", produced=5, uncovered=1, ungraded_jobs=2),
    ]
    publish(telemetry, accounts, {"queries": NOW}, NOW + timedelta(seconds=30))
    assert telemetry.value(metrics.PRODUCED, topic="queries") == 10
    assert telemetry.value(metrics.IN_FLIGHT, topic="queries") == 3
    assert telemetry.value(metrics.UNACCOUNTED, topic="queries") == 0
    assert telemetry.value(metrics.UNACCOUNTED, topic="grading") == 3
    assert telemetry.value(metrics.FRESHNESS, topic="queries") == 30


def test_failing_refreshes_are_logged_once_and_go_on(caplog: pytest.LogCaptureFixture) -> None:
    enough = threading.Event()
    calls: list[int] = []

    def refresh() -> None:
        calls.append(1)
        if len(calls) < 4:
            raise UnavailableError("kafka is down")
        enough.set()

    thread = GaugeThread(refresh, every_s=0.001)
    with caplog.at_level(logging.WARNING):
        thread.start()
        assert enough.wait(10)
        thread.stop()
    assert len([r for r in caplog.records if "kafka is down" in r.message]) == 1
