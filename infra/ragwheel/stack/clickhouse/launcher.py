"""The embedded ClickHouse as a supervised child process."""

from __future__ import annotations

from pathlib import Path

from ragwheel.operations.credentials import CLICKHOUSE_URL, USER, with_password
from ragwheel.stack.clickhouse.entrance import keep_password
from ragwheel.stack.processes.loopback import PythonServer

_ADDRESS = "http://127.0.0.1:{port}"


class ClickHouseFront(PythonServer):
    """One `python -m ragwheel.stack.clickhouse`.

    Tables survive restarts and kills. The port stays the same over restarts if it is still free,
    and the password, which is made at the first start, always.

    Args:
        data_dir: everything it writes is here; created if missing.
        port: None takes the last run's port if it is free, else any free one.
        log_path: None: in `data_dir`.

    Attributes:
        password: of the user `default`; known once it is launched.
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
            address=_ADDRESS,
            variables={},
            port=port,
        )
        self.password = ""

    def url(self, database: str = "default") -> str:
        """For RAGWHEEL_CLICKHOUSE_URL, with the password."""
        url = f"http://{USER}@127.0.0.1:{self._port}/{database}"
        return with_password(url, self.password)

    def settings(self) -> dict[str, str]:
        """RAGWHEEL_ variables that point others at it; valid once it is ready."""
        return {CLICKHOUSE_URL: self.url("ragwheel")}

    def _prepare(self) -> list[str]:
        self.password = keep_password(self.data_dir)
        return super()._prepare()
