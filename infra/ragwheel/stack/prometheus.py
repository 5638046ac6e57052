"""A Prometheus of the stack's own, from the system's package, scraping the stack's processes."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import orjson

from ragwheel import observability
from ragwheel.schemas.errors import DependencyError
from ragwheel.stack.home import Home
from ragwheel.stack.processes import kept_port
from ragwheel.stack.processes.loopback import LoopbackServer

#: Rules are package data, so that a wheel carries them.
RULES_DIR = Path(observability.__file__).parent / "rules"
_SCRAPE_INTERVAL_S = 2


class PrometheusServer(LoopbackServer):
    """The system's Prometheus, scraping every worker.

    Raises:
        DependencyError: it is not installed; when it is launched.
    """

    def __init__(self, home: Home, metrics_ports: Mapping[str, int]) -> None:
        super().__init__(
            "prometheus",
            address="http://127.0.0.1:{port}",
            variables={},
            log_path=home.log_path("prometheus"),
        )
        self._folder = home.prometheus_dir
        self._metrics_ports = metrics_ports

    def _prepare(self) -> list[str]:
        self._port = kept_port(self._folder / "port", self._port or None)
        config = self._folder / "prometheus.json"
        config.write_bytes(
            prometheus_config(self._metrics_ports, scrape_interval_s=_SCRAPE_INTERVAL_S)
        )
        return prometheus_argv(config, self._folder / "data", self._port)


def prometheus_config(
    metrics_ports: Mapping[str, int], *, rules_dir: Path = RULES_DIR, scrape_interval_s: int
) -> bytes:
    """The configuration file (JSON, which is YAML): one job per process, and our rules."""
    rules = sorted(str(path) for path in rules_dir.glob("*.rules.y*ml"))
    interval = f"{scrape_interval_s}s"
    return orjson.dumps(
        {
            "global": {"scrape_interval": interval, "evaluation_interval": interval},
            "rule_files": rules,
            "scrape_configs": [
                {
                    "job_name": name,
                    "static_configs": [{"targets": [f"127.0.0.1:{port}"]}],
                }
                for name, port in metrics_ports.items()
            ],
        },
        option=orjson.OPT_INDENT_2,
    )


def prometheus_argv(config: Path, data_dir: Path, port: int) -> list[str]:
    """Command line of a server on loopback that keeps two days.

    Raises:
        DependencyError: it is not installed.
    """
    program = shutil.which("prometheus")
    if program is None:
        raise DependencyError(
            "prometheus", "install your system's package (Debian: apt install prometheus)"
        )
    return [
        program,
        f"--config.file={config}",
        f"--storage.tsdb.path={data_dir}",
        "--storage.tsdb.retention.time=2d",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    ]
