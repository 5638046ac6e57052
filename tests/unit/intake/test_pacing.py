"""Intake follows the claims, and keeps the pace that it knows while it cannot."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.rigs.examples import NOW

from ragwheel.backends.telemetry import Telemetry
from ragwheel.intake.pacing import Pacing
from ragwheel.schemas import metrics
from ragwheel.schemas.budget import Claims
from ragwheel.schemas.errors import UnavailableError
from ragwheel.schemas.events import SpendingEntry


class ScriptedLog:
    """Tells of one claim at each read, until it is away."""

    def __init__(self) -> None:
        self.claims = Claims()
        self.away = False

    def catch_up(self) -> None:
        """As `read`."""
        self.read()

    def read(self) -> None:
        """Half the day's money is claimed ten minutes before noon."""
        if self.away:
            raise UnavailableError("no right to read the topic")
        name, when = f"{self.claims.entries:032x}", NOW - timedelta(minutes=10)
        entry = SpendingEntry(
            entry_id=name, kind="claim", worker="w", day=NOW.date(), usd=0.5, tokens=0,
            limit_usd=1.0, ts=NOW,
        )  # fmt: skip
        self.claims.apply(entry, when)


def test_what_is_claimed_slows_sampling_and_stays_known_while_the_log_is_away(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log, telemetry = ScriptedLog(), Telemetry()
    pacing = Pacing(log, telemetry, lambda: NOW)
    assert pacing.factor(NOW) == 1.0
    pacing.start()
    slow = pacing.factor(NOW)
    assert slow < 0.5
    assert telemetry.value(metrics.SAMPLING_PACE) == slow
    assert telemetry.value(metrics.PACE_READABLE) == 1
    log.away = True
    for _ in range(3):
        pacing.refresh()
    assert pacing.factor(NOW) == slow
    assert telemetry.value(metrics.PACE_READABLE) == 0
    assert caplog.text.count("keeps the pace") == 1
    log.away = False
    pacing.refresh()
    assert telemetry.value(metrics.PACE_READABLE) == 1
