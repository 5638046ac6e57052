"""The servers of a local stack behind one face, each on a free port of 127.0.0.1."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from ragwheel.stack.home import Home
from ragwheel.stack.kafka import KafkaBroker, prepare
from ragwheel.stack.options import DemoLlm, demo_llm_settings
from ragwheel.stack.processes import (
    ManagedProcess,
    ProcessFailedError,
    free_port,
    port_is_free,
)
from ragwheel.stack.prometheus import SCRAPE_INTERVAL_S, prometheus_argv, prometheus_config

_READY_PROBE_S = 0.5
#: A log is complete at every moment, and a crash of a C library leaves the stack that led to it.
PYTHON_LOGS = {"PYTHONUNBUFFERED": "1", "PYTHONFAULTHANDLER": "1"}


class Server(Protocol):
    """A server of the stack. Fits `ragwheel.stack.processes.Service`."""

    @property
    def name(self) -> str:
        """What people call it."""

    @property
    def pid(self) -> int | None:
        """Process id, None while it is not running."""

    @property
    def log_path(self) -> Path:
        """Where to look when it fails."""

    @property
    def address(self) -> str:
        """host:port or URL; valid after `wait_ready` and remembered after `stop`."""

    def settings(self) -> dict[str, str]:
        """RAGWHEEL_ variables that point others at it; valid after `wait_ready`."""

    def start(self) -> None:
        """Launches it. May return before it is ready, so that several can start at once."""

    def wait_ready(self) -> None:
        """Waits until it is ready; raises ProcessFailedError with its last log lines."""

    def stop(self, *, hurry: Callable[[], bool] | None = None) -> None:
        """Ends it. Idempotent."""

    def check(self) -> None:
        """Raises ProcessFailedError with its last log lines if it has ended by itself."""


class KafkaServer:
    """The broker, with progress while its jars are fetched for the first time."""

    name = "kafka"

    def __init__(self, home: Home, on_progress: Callable[[str], None]) -> None:
        self._broker = KafkaBroker(home.kafka_dir)
        self._on_progress = on_progress
        self.address = ""

    @property
    def pid(self) -> int | None:
        """Process id of the JVM."""
        return self._broker.pid

    @property
    def log_path(self) -> Path:
        """The broker's own log."""
        return self._broker.log_path

    def settings(self) -> dict[str, str]:
        """Where clients find it, in the clear."""
        return {
            "RAGWHEEL_KAFKA_BOOTSTRAP_SERVERS": self.address,
            "RAGWHEEL_KAFKA_SECURITY_PROTOCOL": "PLAINTEXT",
        }

    def start(self) -> None:
        """Fetches missing jars, starts the broker and waits for it."""
        prepare(self._tell)
        self._broker.start()
        self.address = self._broker.bootstrap_servers

    def wait_ready(self) -> None:
        """Nothing is left to wait for."""

    def stop(self, *, hurry: Callable[[], bool] | None = None) -> None:
        """Shuts down cleanly."""
        self._broker.stop(hurry=hurry)

    def check(self) -> None:
        """See `KafkaBroker.check`."""
        _explain(self._broker.check, "Start the stack again; its data are kept.")

    def _tell(self, done: int, total: int, _name: str) -> None:
        if done == total or done % 10 == 0:
            self._on_progress(f"kafka: {done} of {total} jars fetched (this happens once)")


class ProcessServer:
    """A server that is one process and, if it binds port 0, tells its port in a file.

    Args:
        process: how it is run.
        address_of: its address, given its port.
        settings_of: its settings, given its address.
        port: fixed port; 0: read from `port_file`.
        port_file: written by the server once it listens.
        advice: what to do when it dies.
    """

    def __init__(
        self,
        process: Callable[[Callable[[], bool]], ManagedProcess],
        *,
        address_of: Callable[[int], str],
        settings_of: Callable[[str], dict[str, str]],
        port: int = 0,
        port_file: Path | None = None,
        advice: str = "Start the stack again; its data are kept.",
    ) -> None:
        self._process = process(self._answers)
        self._address_of = address_of
        self._settings_of = settings_of
        self._port = port
        self._port_file = port_file
        self._advice = advice
        self.address = ""

    @property
    def name(self) -> str:
        """What people call it."""
        return self._process.name

    @property
    def pid(self) -> int | None:
        """Process id."""
        return self._process.pid

    @property
    def log_path(self) -> Path:
        """Its standard output and error."""
        return self._process.log_path

    def settings(self) -> dict[str, str]:
        """Settings that point others at it."""
        return self._settings_of(self.address)

    def start(self) -> None:
        """Launches it and returns at once."""
        if self._port_file is not None:
            self._port_file.parent.mkdir(parents=True, exist_ok=True)
            self._port_file.unlink(missing_ok=True)
        self._process.launch()

    def wait_ready(self) -> None:
        """Waits until it listens."""
        self._process.wait_ready()
        self.address = self._address_of(self._port)

    def stop(self, *, hurry: Callable[[], bool] | None = None) -> None:
        """Ends it."""
        self._process.stop(hurry=hurry)

    def check(self) -> None:
        """Raises ProcessFailedError if it has ended."""
        _explain(self._process.check, self._advice)

    def _answers(self) -> bool:
        if self._port_file is not None:
            try:
                self._port = int(self._port_file.read_text(encoding="ascii"))
            except (FileNotFoundError, ValueError):
                return False
        return listens(self._port)


def clickhouse(home: Home, last_port: int) -> Server:
    """The embedded ClickHouse engine behind its HTTP front."""
    port_file = home.port_file("clickhouse")
    return ProcessServer(
        _python(
            home,
            "clickhouse",
            "ragwheel.stack.clickhouse",
            ["--data-dir", str(home.clickhouse_dir), *_port_options(last_port, port_file)],
        ),
        address_of=lambda port: f"http://default:@127.0.0.1:{port}/ragwheel",
        settings_of=lambda address: {"RAGWHEEL_CLICKHOUSE_URL": address},
        port_file=port_file,
    )


def demo_llm(home: Home, options: DemoLlm, last_port: int) -> Server:
    """The stand-in for an LLM."""
    port_file = home.port_file("llm")
    arguments = ["--error-rate", str(options.error_rate), *_port_options(last_port, port_file)]
    if options.gold is not None:
        arguments += ["--gold", str(options.gold.absolute())]
    return ProcessServer(
        _python(home, "llm", "ragwheel.stack.llm", arguments),
        address_of=lambda port: f"http://127.0.0.1:{port}/v1",
        settings_of=demo_llm_settings,
        port_file=port_file,
    )


def prometheus(home: Home, metrics_ports: Mapping[str, int], last_port: int) -> Server:
    """The system's Prometheus.

    Raises:
        DependencyError: it is not installed.
    """
    port = still_free(last_port)
    home.prometheus_dir.mkdir(parents=True, exist_ok=True)
    config = home.prometheus_dir / "prometheus.json"
    config.write_bytes(prometheus_config(metrics_ports, scrape_interval_s=SCRAPE_INTERVAL_S))
    argv = prometheus_argv(config, home.prometheus_dir / "data", port)
    return ProcessServer(
        lambda ready: ManagedProcess(
            "prometheus", argv, log_path=home.log_path("prometheus"), ready=ready
        ),
        address_of=lambda port: f"http://127.0.0.1:{port}",
        settings_of=lambda _address: {},
        port=port,
    )


def listens(port: int) -> bool:
    """Whether somebody accepts connections on 127.0.0.1:`port`."""
    with socket.socket() as probe:
        probe.settimeout(_READY_PROBE_S)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def still_free(port: int) -> int:
    """`port` if it is free, else any free one."""
    return port if port and port_is_free(port) else free_port()


def port_in(address: str) -> int:
    """The port in host:port or in a URL; 0 if there is none."""
    tail = address.rpartition(":")[2].partition("/")[0]
    return int(tail) if tail.isdigit() else 0


def python_argv(module: str, arguments: Sequence[str] = ()) -> list[str]:
    """Command line that runs a module with this interpreter."""
    return [sys.executable, "-m", module, *arguments]


def _python(
    home: Home, name: str, module: str, arguments: Sequence[str]
) -> Callable[[Callable[[], bool]], ManagedProcess]:
    return lambda ready: ManagedProcess(
        name,
        python_argv(module, arguments),
        log_path=home.log_path(name),
        env=os.environ | PYTHON_LOGS,
        ready=ready,
    )


def _port_options(last_port: int, port_file: Path) -> list[str]:
    port = last_port if last_port and port_is_free(last_port) else 0
    return ["--port", str(port), "--port-file", str(port_file)]


def _explain(check: Callable[[], None], advice: str) -> None:
    try:
        check()
    except ProcessFailedError as error:
        raise ProcessFailedError(f"{error}\n  {advice}") from None
