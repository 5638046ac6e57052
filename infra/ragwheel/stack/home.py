"""The folder that holds one local stack: its paths, and the lock that keeps it to one stack."""

from __future__ import annotations

from pathlib import Path

from ragwheel.operations.credentials import clickhouse_dir
from ragwheel.operations.running import lock_path, state_path
from ragwheel.schemas.errors import ConfigError
from ragwheel.stack.processes.exclusive import Exclusive, HeldError


class Home:
    """Paths of one stack's data, logs and state. Everything a stack writes is below `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root.expanduser().absolute()
        self.state_path = state_path(self.root)
        self.kafka_dir = self.root / "kafka"
        self.clickhouse_dir = clickhouse_dir(self.root)
        self.prometheus_dir = self.root / "prometheus"
        self.model_dir = self.root / "models"
        self.vector_cache_dir = self.root / "vectors"
        self._lock = Exclusive(lock_path(self.root))

    def log_path(self, name: str) -> Path:
        """Where the process `name` writes its standard output and error."""
        return self.root / "logs" / f"{name}.log"

    def port_note(self, name: str) -> Path:
        """Where the port of the process `name` is noted for the next run."""
        return self.root / "run" / f"{name}.port"

    def acquire(self) -> None:
        """Take the home for this process; released by `release` or by the process's death.

        Raises:
            ConfigError: another stack holds it, or the folder cannot be written.
        """
        try:
            self._lock.acquire()
        except HeldError as held:
            raise ConfigError(
                f"a stack is running in {self.root} (pid {held.pid}). Stop it (Ctrl-C in its "
                f"terminal, or `kill {held.pid}`), or start a second one beside it in another "
                "home: --home DIR or RAGWHEEL_HOME=DIR"
            ) from None
        except OSError as error:
            raise ConfigError(
                f"the home {self.root} cannot be used ({error.strerror}): choose another with "
                "--home DIR or RAGWHEEL_HOME"
            ) from None

    def release(self) -> None:
        """Give the home back. Idempotent."""
        self._lock.release()
