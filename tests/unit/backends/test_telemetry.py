"""/healthz tells a loop that turns from one that is stuck, although /metrics answers for both."""

from __future__ import annotations

import re
import urllib.error
import urllib.request
from time import time

import pytest

from ragwheel.backends.telemetry import Telemetry
from ragwheel.schemas import metrics
from ragwheel.schemas.metrics import ProcessName
from ragwheel.schemas.settings import MetricsSettings


def _ask(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_a_loop_that_turned_in_time_is_healthy_and_a_stuck_one_is_not() -> None:
    telemetry = Telemetry("intake")
    port = telemetry.serve(MetricsSettings())
    assert _ask(port, "/healthz") == (200, "ok\n"), "the loop has not begun"
    telemetry.turned(3_600)
    assert _ask(port, "/healthz")[0] == 200
    telemetry.turned(-1)
    assert _ask(port, "/healthz") == (503, "the main loop has not turned in time\n")
    status, shown = _ask(port, "/metrics")
    assert status == 200, "another thread answers"
    assert "ragwheel_loop_due_timestamp_seconds" in shown
    telemetry.turned(3_600)
    assert _ask(port, "/healthz")[0] == 200, "it goes on"


def test_the_time_of_the_next_turn_is_shown() -> None:
    telemetry = Telemetry("intake")
    before = time()
    telemetry.turned(60)
    assert before + 60 <= telemetry.value(metrics.LOOP_DUE) <= time() + 60


@pytest.mark.parametrize("process", ["intake", "accounts", "grader", "trainer"])
def test_every_worker_shows_its_loop_from_the_start(process: ProcessName) -> None:
    names = {family.name for family in Telemetry(process).registry.collect()}
    assert metrics.LOOP_DUE.name in names


def test_memory_processor_time_files_and_the_build_are_shown() -> None:
    _, shown = _ask(Telemetry("accounts").serve(MetricsSettings()), "/metrics")
    names = ("process_resident_memory_bytes", "process_cpu_seconds_total", "process_open_fds")
    assert all(f"\n{name} " in shown for name in names)
    assert re.search(r'ragwheel_build_info\{python="3\.\d+\.\d+",version="\d.+"\} 1', shown)


def test_values_that_services_choose_are_few_and_the_rest_is_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    telemetry = Telemetry("intake")
    most = metrics.MOST_VALUES["segment"]
    for number in range(20_000):
        segment = telemetry.bounded("segment", f"user {number}", of="service 'shop'")
        telemetry.inc(metrics.QUERIES, segment=segment)
    assert telemetry.value(metrics.QUERIES, segment="user 0") == 1
    assert telemetry.value(metrics.QUERIES, segment="other") == 20_000 - most
    (line,) = caplog.messages
    assert f"'user {most}' of service 'shop'" in line
    assert telemetry.bounded("stage", "dense", of="anybody") == "dense"
