"""The health checks of docker-compose.yml say what is so, tried on the real servers."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import closing
from pathlib import Path

import orjson
import pytest
import yaml
from tests.rigs.children import end, spawn
from tests.rigs.packaging import DOCKERFILE

from ragwheel.backends import kafka
from ragwheel.backends.clickhouse import connect
from ragwheel.backends.migrate import migrate
from ragwheel.backends.telemetry import Telemetry
from ragwheel.operations.workers import WorkerName, worker_argv
from ragwheel.schemas import metrics
from ragwheel.schemas.settings import ClickHouseSettings, KafkaSettings, MetricsSettings
from ragwheel.stack.processes import free_port

pytestmark = pytest.mark.integration

_COMPOSE = yaml.safe_load((Path(__file__).parents[3] / "docker-compose.yml").read_text("utf-8"))


def _asks_kafka(port: int) -> int:
    command = _COMPOSE["services"]["kafka"]["healthcheck"]["test"]
    assert command[0] == "CMD"
    there = [part.replace("localhost/19092", f"127.0.0.1/{port}") for part in command[1:]]
    assert there != command[1:]
    return subprocess.run(there, capture_output=True, timeout=60, check=False).returncode


def test_a_broker_that_answers_is_healthy(kafka_settings: KafkaSettings) -> None:
    assert _asks_kafka(int(kafka_settings.kafka_bootstrap_servers.rpartition(":")[2])) == 0


def test_a_port_without_a_broker_is_not_healthy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        assert _asks_kafka(port) != 0, "connects, and nobody answers"
    assert _asks_kafka(port) != 0


def _image_check(port: int) -> subprocess.CompletedProcess[str]:
    """The HEALTHCHECK of the image, asked of a worker at `port`."""
    found = re.search(r"^HEALTHCHECK .*\\\n +CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)
    assert found
    program, *arguments = orjson.loads(found[1])
    assert program == "python"
    return subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "RAGWHEEL_METRICS_PORT": str(port)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_image_is_healthy_while_the_loop_of_its_worker_turns() -> None:
    telemetry = Telemetry("accounts")
    port = telemetry.serve(MetricsSettings())
    telemetry.turned(3_600)
    assert _image_check(port).returncode == 0
    telemetry.turned(-1)
    stuck = _image_check(port)
    assert stuck.returncode != 0
    assert "503" in stuck.stderr
    assert _image_check(free_port()).returncode != 0, "nobody listens"


def _due(port: int) -> float:
    """When the loop of the worker at `port` turns again at the latest; 0 before it listens."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            shown = answer.read().decode()
    except OSError:
        return 0
    found = re.search(rf"^{metrics.LOOP_DUE.name} (\S+)$", shown, re.MULTILINE)
    return float(found[1]) if found else 0


@pytest.mark.parametrize("name", ["intake", "accounts", "grader"])
def test_a_worker_says_again_and_again_that_its_loop_turns(
    name: WorkerName,
    kafka_settings: KafkaSettings,
    clickhouse_settings: ClickHouseSettings,
    tmp_path: Path,
) -> None:
    kafka.create_topics(kafka_settings)
    with closing(connect(clickhouse_settings, create_database=True)) as client:
        migrate(client)
    port = free_port()
    settings = {
        "RAGWHEEL_KAFKA_BOOTSTRAP_SERVERS": kafka_settings.kafka_bootstrap_servers,
        "RAGWHEEL_TOPIC_PREFIX": kafka_settings.topic_prefix,
        "RAGWHEEL_CLICKHOUSE_URL": clickhouse_settings.clickhouse_url.get_secret_value(),
        "RAGWHEEL_ACCOUNTS_REFRESH_S": "0.2",
        "RAGWHEEL_METRICS_PORT": str(port),
    }
    process = spawn(worker_argv(name), tmp_path / "log", {**os.environ, **settings})
    try:
        seen: set[float] = set()
        deadline = time.monotonic() + 90
        while len(seen - {0}) < 3:
            assert process.poll() is None, (tmp_path / "log").read_text()
            assert time.monotonic() < deadline
            seen.add(_due(port))
            time.sleep(0.1)
        assert max(seen) > time.time()
    finally:
        end(process)
