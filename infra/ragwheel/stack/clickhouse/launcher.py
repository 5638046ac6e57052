"""The embedded ClickHouse as a supervised child process."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from ragwheel.stack.processes import ManagedProcess, ProcessFailedError, port_is_free

_START_TIMEOUT_S = 120.0


class ClickHouseFront:
    """One `python -m ragwheel.stack.clickhouse`. Fits `ragwheel.stack.processes.Service`.

    Tables survive restarts and kills. The port stays the same over restarts if it is still free.

    Args:
        data_dir: everything it writes is here; created if missing.
        port: None takes the last run's port if it is free, else any free one.
    """

    name = "clickhouse"

    def __init__(self, data_dir: Path, *, port: int | None = None) -> None:
        self.data_dir = data_dir.absolute()
        self._wanted_port = port
        self._port = 0
        self._process: ManagedProcess | None = None

    @property
    def port(self) -> int:
        """The HTTP port of a started front."""
        if self._process is None:
            raise ProcessFailedError("clickhouse is not started, so it has no port yet")
        return self._port

    @property
    def pid(self) -> int | None:
        """Process id, None if not started."""
        return None if self._process is None else self._process.pid

    @property
    def log_path(self) -> Path:
        """Where the process logs."""
        return self.data_dir / "clickhouse.log"

    def url(self, database: str = "default") -> str:
        """For RAGWHEEL_CLICKHOUSE_URL."""
        return f"http://default:@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Starts it and waits until it answers.

        Raises:
            ProcessFailedError: it did not come up; the message ends with its last log lines.
        """
        if self._process is not None:
            raise ProcessFailedError(f"clickhouse is started already (pid {self._process.pid})")
        self.data_dir.mkdir(parents=True, exist_ok=True)
        port_file = self.data_dir / "port"
        port = self._wanted_port if self._wanted_port is not None else _free_again(port_file)
        port_file.unlink(missing_ok=True)
        command = [sys.executable, "-m", "ragwheel.stack.clickhouse", "--port", str(port)]
        command += ["--data-dir", str(self.data_dir), "--port-file", str(port_file)]
        process = ManagedProcess(
            self.name,
            command,
            log_path=self.log_path,
            ready=port_file.exists,
            start_timeout_s=_START_TIMEOUT_S,
        )
        process.start()
        self._process = process
        self._port = _read_port(port_file)

    def stop(self, *, hurry: Callable[[], bool] | None = None) -> None:
        """Ends it; running inserts are finished or not visible. Idempotent."""
        if self._process is not None:
            self._process.stop(hurry=hurry)
            self._process = None

    def kill(self) -> None:
        """SIGKILL, as a crash would; `start` brings it back with its data. Idempotent."""
        if self._process is not None:
            self._process.kill()
            self._process = None

    def check(self) -> None:
        """Raises ProcessFailedError with the last log lines if it has ended by itself."""
        if self._process is not None:
            self._process.check()

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


def _read_port(path: Path) -> int:
    return int(path.read_text(encoding="utf-8"))


def _free_again(path: Path) -> int:
    """The port of the last run, or 0 if there is none or it is taken."""
    try:
        port = _read_port(path)
    except (OSError, ValueError):
        return 0
    return port if port_is_free(port) else 0
