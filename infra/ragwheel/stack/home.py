"""The folder that holds one local stack: its paths, and the lock that keeps it to one stack."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from typing import IO

from ragwheel.operations.running import lock_path, running_pid, state_path
from ragwheel.schemas.errors import ConfigError

# `running_pid` holds the lock for microseconds; a stack that starts just then tries again.
_LOCK_PATIENCE_S = 1.0


class Home:
    """Paths of one stack's data, logs and state. Everything a stack writes is below `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root.expanduser().absolute()
        self.state_path = state_path(self.root)
        self.kafka_dir = self.root / "kafka"
        self.clickhouse_dir = self.root / "clickhouse"
        self.prometheus_dir = self.root / "prometheus"
        self.model_dir = self.root / "models"
        self.vector_cache_dir = self.root / "vectors"
        self._lock_path = lock_path(self.root)
        self._lock: IO[str] | None = None

    def log_path(self, name: str) -> Path:
        """Where the process `name` writes its standard output and error."""
        return self.root / "logs" / f"{name}.log"

    def port_file(self, name: str) -> Path:
        """Where the server `name` tells the port it listens on."""
        return self.root / "run" / f"{name}.port"

    def acquire(self) -> None:
        """Take the home for this process; released by `release` or by the process's death.

        Raises:
            ConfigError: another stack holds it, or the folder cannot be written.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            lock = self._lock_path.open("a+", encoding="utf-8")
        except OSError as error:
            raise ConfigError(
                f"the home {self.root} cannot be used ({error.strerror}): choose another with "
                "--home DIR or RAGWHEEL_HOME"
            ) from None
        deadline = time.monotonic() + _LOCK_PATIENCE_S
        while not _try_lock(lock):
            if time.monotonic() > deadline:
                pid = running_pid(self.root) or 0
                lock.close()
                raise ConfigError(
                    f"a stack is running in {self.root} (pid {pid}). Stop it (Ctrl-C in its "
                    f"terminal, or `kill {pid}`), or start a second one beside it in another "
                    "home: --home DIR or RAGWHEEL_HOME=DIR"
                )
            time.sleep(0.02)
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        self._lock = lock

    def release(self) -> None:
        """Give the home back. Idempotent."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def _try_lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
