"""The health checks of docker-compose.yml say what is so, tried on the real servers."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path

import pytest
import yaml

from ragwheel.schemas.settings import KafkaSettings

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
