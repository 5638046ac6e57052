"""What several rooms' integration tests start: intake between real servers, and one demo."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.rigs.demo import DemoRun, played_demo
from tests.rigs.intake import IntakeRig

from ragwheel.schemas.settings import ClickHouseSettings, KafkaSettings


@pytest.fixture(scope="session")
def demo_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoRun]:
    """The small demo, played once per session. Tests that use it need a long timeout."""
    with played_demo(tmp_path_factory.mktemp("demo")) as run:
        yield run


@pytest.fixture
def rig(
    kafka_settings: KafkaSettings, clickhouse_settings: ClickHouseSettings, tmp_path: Path
) -> Iterator[IntakeRig]:
    """Intake and accounts on topics and tables of this test alone."""
    made = IntakeRig(kafka_settings, clickhouse_settings, tmp_path)
    yield made
    made.close()
