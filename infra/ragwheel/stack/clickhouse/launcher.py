"""The embedded ClickHouse as a supervised child process."""

from __future__ import annotations

from pathlib import Path

from ragwheel.stack.processes.loopback import PythonServer

_ADDRESS = "http://default:@127.0.0.1:{port}"


class ClickHouseFront(PythonServer):
    """One `python -m ragwheel.stack.clickhouse`.

    Tables survive restarts and kills. The port stays the same over restarts if it is still free.

    Args:
        data_dir: everything it writes is here; created if missing.
        port: None takes the last run's port if it is free, else any free one.
        log_path: None: in `data_dir`.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        port: int | None = None,
        log_path: Path | None = None,
    ) -> None:
        self.data_dir = data_dir.absolute()
        super().__init__(
            "clickhouse",
            "ragwheel.stack.clickhouse",
            ["--data-dir", str(self.data_dir)],
            log_path=log_path or self.data_dir / "clickhouse.log",
            port_file=self.data_dir / "port",
            address=f"{_ADDRESS}/ragwheel",
            variables={"RAGWHEEL_CLICKHOUSE_URL": f"{_ADDRESS}/ragwheel"},
            port=port,
        )

    def url(self, database: str = "default") -> str:
        """For RAGWHEEL_CLICKHOUSE_URL."""
        return f"{_ADDRESS.format(port=self.port)}/{database}"
