"""An alert of Prometheus reaches a person's webhook, and the watchdog's, through Alertmanager."""

from __future__ import annotations

import queue
import threading
import time
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.rigs.alertmanager import require_alertmanager, start
from tests.rigs.panels import require_prometheus

from ragwheel.stack.processes import ManagedProcess, free_port, listens
from ragwheel.stack.prometheus import prometheus_argv, prometheus_config

pytestmark = [pytest.mark.integration, pytest.mark.slow]


class Hooks:
    """A web server that remembers what was posted where."""

    def __init__(self) -> None:
        posted: queue.Queue[tuple[str, Any]] = queue.Queue()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                posted.put((self.path, orjson.loads(body)))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        self._posted = posted
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def wait(self, path: str, alert: str) -> Any:
        """The first post to `path` that tells of `alert`; others are left out."""
        deadline = time.monotonic() + 90
        while True:
            to, body = self._posted.get(timeout=max(0.1, deadline - time.monotonic()))
            if (to, body["groupLabels"].get("alertname")) == (path, alert):
                return body

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join(10)
        self._server.server_close()


@pytest.fixture
def hooks() -> Iterator[Hooks]:
    made = Hooks()
    yield made
    made.close()


@pytest.fixture
def alertmanager(tmp_path: Path, hooks: Hooks) -> Iterator[str]:
    program = require_alertmanager()
    port = free_port()
    process = start(
        tmp_path,
        program,
        {
            "ALERT_WEBHOOK_URL": f"{hooks.url}/people",
            "ALERT_WATCHDOG_URL": f"{hooks.url}/watchdog",
        },
        f"--storage.path={tmp_path / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    )
    deadline = time.monotonic() + 30
    while not listens(port):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)
    yield f"127.0.0.1:{port}"
    process.terminate()
    process.communicate(timeout=30)


def test_the_watchdog_calls_and_an_alert_is_told_to_people(
    tmp_path: Path, hooks: Hooks, alertmanager: str
) -> None:
    require_prometheus()
    config = orjson.loads(prometheus_config({}, scrape_interval_s=1))
    config["alerting"] = {
        "alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}],
    }
    (tmp_path / "prometheus.json").write_bytes(orjson.dumps(config))
    port = free_port()
    prometheus = ManagedProcess(
        "prometheus",
        [
            *prometheus_argv(tmp_path / "prometheus.json", tmp_path / "tsdb", port),
            # The first alert may be evaluated before Alertmanager is found.
            "--rules.alert.resend-delay=1s",
        ],
        log_path=tmp_path / "prometheus.log",
        ready=lambda: listens(port),
    )
    prometheus.start()
    try:
        assert hooks.wait("/watchdog", "RagwheelWatchdog")["status"] == "firing"
    finally:
        prometheus.stop()

    alert = {
        "labels": {"alertname": "RagwheelUnaccounted", "severity": "critical"},
        "annotations": {"summary": "3 messages of queries are unaccounted for."},
        "startsAt": datetime.now(UTC).isoformat(),
    }
    request = urllib.request.Request(
        f"http://{alertmanager}/api/v2/alerts",
        orjson.dumps([alert]),
        {"Content-Type": "application/json"},
    )
    urllib.request.urlopen(request, timeout=10).close()  # noqa: S310 - loopback
    told = hooks.wait("/people", "RagwheelUnaccounted")
    assert told["alerts"][0]["annotations"] == alert["annotations"]
