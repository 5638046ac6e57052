"""How fresh ClickHouse is, from what this process landed."""

from __future__ import annotations

from datetime import timedelta

from tests.rigs.examples import NOW

from ragwheel.backends.telemetry import Telemetry
from ragwheel.intake.gauges import Freshness
from ragwheel.schemas import metrics


class World:
    """A freshness gauge whose clocks stand still until they are moved."""

    def __init__(self) -> None:
        self.passed_s = 0.0
        self.telemetry = Telemetry()
        self.freshness = Freshness(
            self.telemetry, lambda: NOW + timedelta(seconds=self.passed_s), lambda: self.passed_s
        )

    def age_s(self) -> float:
        return self.telemetry.value(metrics.FRESHNESS, topic="queries")


def test_the_newest_event_counts_and_it_grows_old_while_none_lands() -> None:
    world = World()
    world.freshness.landed("queries", NOW - timedelta(seconds=5))
    world.freshness.landed("queries", NOW - timedelta(seconds=50))
    world.freshness.show()
    assert world.age_s() == 5
    world.passed_s = 60
    world.freshness.show()
    assert world.age_s() == 65


def test_the_gauge_is_set_at_most_once_a_second() -> None:
    world = World()
    world.freshness.show()
    world.freshness.landed("queries", NOW - timedelta(seconds=5))
    world.passed_s = 0.9
    world.freshness.show()
    assert world.age_s() == 0
    world.passed_s = 1.1
    world.freshness.show()
    assert world.age_s() == 6.1
