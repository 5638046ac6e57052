"""Every query of every panel finds data in a real Prometheus, under the names its legend uses."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.rigs.demo import DemoRun
from tests.rigs.panels import (
    Prometheus,
    panel_queries,
    require_prometheus,
    running_prometheus,
    silent_panels,
)

from ragwheel.backends.telemetry import Telemetry
from ragwheel.schemas.loading import load
from ragwheel.schemas.metrics import ALL_METRICS, Metric
from ragwheel.schemas.settings import MetricsSettings

pytestmark = pytest.mark.integration

#: A value for each label of the registry; what is not here is called "some".
_LABELS = {
    "topic": "retrievals",
    "segment": "*",
    "metric": "recall",
    "k": "10",
    "status": "graded",
    "role": "label",
    "grade": "2",
    "outcome": "complete",
}
_PROCESSES = {"client", "intake", "accounts", "grader", "trainer", "server"}
#: The demo has no candidate, and a model of its own that was refused would be a fault.
_NOT_IN_THE_DEMO = {"Refused models per second", "Overlap with the candidate"}
#: The demo asks its server a few times, perhaps between two scrapes.
_SELDOM = {"Time of an answer"}
_SYSTEMS = ("incumbent", "candidate", "delta")


class Exporter:
    """One process's part of the registry on a loopback port, its counters rising."""

    def __init__(self, process: str) -> None:
        self._metrics = [metric for metric in ALL_METRICS if metric.process == process]
        self._telemetry = Telemetry()
        self.touch()
        self.port = self._telemetry.serve(load(MetricsSettings, metrics_port=0))

    def touch(self) -> None:
        """Give every metric a value, every counter and histogram one more."""
        for metric in self._metrics:
            for labels in _label_sets(metric):
                if metric.kind == "counter":
                    self._telemetry.inc(metric, **labels)
                elif metric.kind == "gauge":
                    self._telemetry.set(metric, 0.5, **labels)
                else:
                    self._telemetry.observe(metric, 0.3, **labels)


def _label_sets(metric: Metric) -> Iterator[dict[str, str]]:
    labels = {name: _LABELS.get(name, "some") for name in metric.labels}
    if "system" in labels:
        yield from (labels | {"system": system} for system in _SYSTEMS)
    elif metric.name == "ragwheel_newest_event_age_seconds":
        yield from (labels | {"topic": topic} for topic in ("retrievals", "labels"))
    else:
        yield labels


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus scraping one exporter per process."""
    require_prometheus()
    exporters = {name: Exporter(name) for name in _PROCESSES}
    over = threading.Event()

    def work() -> None:
        while not over.wait(0.5):
            for exporter in exporters.values():
                exporter.touch()

    working = threading.Thread(target=work, daemon=True)
    working.start()
    ports = {name: exporter.port for name, exporter in exporters.items()}
    with running_prometheus(tmp_path_factory.mktemp("prometheus"), ports) as prometheus:
        yield prometheus
    over.set()
    working.join()


def test_every_panel_shows_data_when_every_metric_has_a_value(watched: Prometheus) -> None:
    assert silent_panels(watched, time.time() - 60, patience_s=60) == []
    assert watched.targets_up() == _PROCESSES


def test_every_legend_names_labels_that_the_result_has(watched: Prometheus) -> None:
    assert silent_panels(watched, time.time() - 60, patience_s=60) == []
    for query in panel_queries():
        wanted = set(re.findall(r"\{\{(\w+)\}\}", query.legend))
        for labels in watched.series(query.expr, time.time() - 30, time.time()):
            missing = {name for name in wanted if name not in labels}
            assert not missing, f"{query.name}: {labels}"


def test_a_dead_process_leaves_panels_empty_rather_than_at_zero(tmp_path: Path) -> None:
    require_prometheus()
    # Nobody listens on port 1: the job is known and down.
    with running_prometheus(tmp_path, {"intake": 1}) as prometheus:
        start = time.time()
        deadline = time.monotonic() + 30
        while not prometheus.series('up{job="intake"} == 0', start, time.time()):
            assert time.monotonic() < deadline
            time.sleep(0.2)
        dead_letters = [
            query for query in panel_queries() if query.panel == "Dead letters per second"
        ]
        assert dead_letters
        for query in dead_letters:
            assert prometheus.series(query.expr, start, time.time()) == []


@pytest.mark.slow
@pytest.mark.xdist_group("demo")
@pytest.mark.timeout(1_200)
def test_every_panel_shows_data_of_the_running_demo(demo_run: DemoRun) -> None:
    require_prometheus()
    assert demo_run.exit_status == 0, demo_run.output
    assert demo_run.prometheus is not None
    silent = silent_panels(demo_run.prometheus, demo_run.started, end=demo_run.ended, patience_s=0)
    assert {name.split(" / ")[1] for name in silent} - _SELDOM == _NOT_IN_THE_DEMO
