"""What intake shows before anything happened."""

from __future__ import annotations

from ragwheel.schemas import metrics
from ragwheel.schemas.telemetry import Telemetry
from ragwheel.streams.intake.gauges import declare


def test_the_first_burst_of_dead_letters_is_a_rise_from_zero() -> None:
    telemetry = Telemetry()
    labels = {"topic": "queries", "reason": "malformed_json"}
    assert telemetry.registry.get_sample_value(metrics.DEAD_LETTERED.name, labels) is None
    declare(telemetry)
    assert telemetry.registry.get_sample_value(metrics.DEAD_LETTERED.name, labels) == 0.0
