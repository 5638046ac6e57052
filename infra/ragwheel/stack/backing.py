"""What the workers of a local stack lean on, besides broker and database."""

from __future__ import annotations

from collections.abc import Mapping

from ragwheel.stack.composition import DemoLlm, demo_llm_settings
from ragwheel.stack.home import Home
from ragwheel.stack.processes import still_free
from ragwheel.stack.processes.loopback import LoopbackServer, PythonServer
from ragwheel.stack.processes.ports import noted_port
from ragwheel.stack.prometheus import SCRAPE_INTERVAL_S, prometheus_argv, prometheus_config

_LLM_ADDRESS = "http://127.0.0.1:{port}/v1"


def demo_llm(home: Home, options: DemoLlm) -> PythonServer:
    """The stand-in for an LLM."""
    gold = [] if options.gold is None else ["--gold", str(options.gold.absolute())]
    return PythonServer(
        "llm",
        "ragwheel.stack.llm",
        ["--error-rate", str(options.error_rate), *gold],
        log_path=home.log_path("llm"),
        port_file=home.root / "run" / "llm.port",
        address=_LLM_ADDRESS,
        variables=demo_llm_settings(_LLM_ADDRESS),
    )


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
        self._folder.mkdir(parents=True, exist_ok=True)
        note = self._folder / "port"
        self._port = still_free(noted_port(note))
        note.write_text(f"{self._port}\n", encoding="ascii")
        config = self._folder / "prometheus.json"
        config.write_bytes(
            prometheus_config(self._metrics_ports, scrape_interval_s=SCRAPE_INTERVAL_S)
        )
        return prometheus_argv(config, self._folder / "data", self._port)
