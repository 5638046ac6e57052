"""Every query of every panel, asked of a real Prometheus as Grafana would ask it."""

from __future__ import annotations

import math
import os
import shutil
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest

from ragwheel.observability.boards import files
from ragwheel.stack.processes import ManagedProcess, free_port
from ragwheel.stack.prometheus import prometheus_argv, prometheus_config

SCRAPE_INTERVAL_S = 1
#: What Grafana puts in place of its variables, for a run of a few minutes.
_VARIABLES = {
    "$__rate_interval": "30s",
    "$__interval": "5s",
    "$__range": "1h",
    "$metric": "recall",
    "$k": "10",
    "$segment": ".*",
}


@dataclass(frozen=True, slots=True)
class Target:
    """One query of one panel.

    Attributes:
        legend: Grafana's legend format; its `{{label}}` must be labels of the result.
    """

    board: str
    panel: str
    expr: str
    legend: str

    @property
    def name(self) -> str:
        """For messages."""
        return f"{self.board} / {self.panel} / {self.legend}"


@dataclass(frozen=True, slots=True)
class Prometheus:
    """A Prometheus that runs."""

    url: str

    def series(self, expr: str, start: float, end: float) -> list[dict[str, str]]:
        """Label sets of the series of `expr` with at least one finite value in the time range."""
        step = max(1.0, (end - start) / 300)
        fields = {"query": expr, "start": f"{start:.3f}", "end": f"{end:.3f}", "step": f"{step:g}"}
        found = self._get("query_range", fields)["result"]
        return [
            one["metric"]
            for one in found
            if any(math.isfinite(float(value)) for _, value in one["values"])
        ]

    def targets_up(self) -> set[str]:
        """Names of the jobs that answer."""
        active = self._get("targets", {"state": "active"})["activeTargets"]
        return {target["labels"]["job"] for target in active if target["health"] == "up"}

    def rule_groups(self) -> list[dict[str, Any]]:
        """The loaded groups of rules, with their file and the health of each rule."""
        groups: list[dict[str, Any]] = self._get("rules", {})["groups"]
        return groups

    def _get(self, what: str, fields: Mapping[str, str]) -> Any:
        url = f"{self.url}/api/v1/{what}?{urllib.parse.urlencode(fields)}"
        try:
            with urllib.request.urlopen(url, timeout=20) as response:  # noqa: S310 - loopback
                return orjson.loads(response.read())["data"]
        except urllib.error.HTTPError as error:
            pytest.fail(f"{fields}: {orjson.loads(error.read())['error']}")


def panel_queries() -> list[Target]:
    """What the boards ask, their variables filled in."""
    found = []
    for name, content in files().items():
        for panel in orjson.loads(content)["panels"]:
            for target in panel.get("targets", []):
                expr = target["expr"]
                for variable, value in _VARIABLES.items():
                    expr = expr.replace(variable, value)
                found.append(Target(name, panel["title"], expr, target["legendFormat"]))
    return found


def require_prometheus() -> None:
    """Skip where Prometheus is not installed; in CI that is an error."""
    if shutil.which("prometheus") is None:
        why = "prometheus is not installed (Debian: apt install prometheus)"
        if os.environ.get("RAGWHEEL_CI"):
            pytest.fail(why)
        pytest.skip(why)


@contextmanager
def running_prometheus(folder: Path, metrics_ports: Mapping[str, int]) -> Iterator[Prometheus]:
    """A Prometheus with our rules, scraping every second, until the block ends."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "prometheus.json"
    config.write_bytes(prometheus_config(metrics_ports, scrape_interval_s=SCRAPE_INTERVAL_S))
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    process = ManagedProcess(
        "prometheus",
        prometheus_argv(config, folder / "data", port),
        log_path=folder / "prometheus.log",
        ready=lambda: _answers(f"{url}/-/ready"),
    )
    process.start()
    try:
        yield Prometheus(url)
    finally:
        process.stop()


def silent_panels(
    prometheus: Prometheus, start: float, *, patience_s: float, end: float | None = None
) -> list[str]:
    """Queries without data between `start` and `end` (None: now), tried again for `patience_s`."""
    deadline = time.monotonic() + patience_s
    waiting = panel_queries()
    assert len(waiting) > 50
    while True:
        waiting = [
            query
            for query in waiting
            if not prometheus.series(query.expr, start, time.time() if end is None else end)
        ]
        if not waiting or time.monotonic() > deadline:
            return [query.name for query in waiting]
        time.sleep(0.5)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1) as response:  # noqa: S310 - loopback
            return bool(response.status == 200)
    except OSError:
        return False
