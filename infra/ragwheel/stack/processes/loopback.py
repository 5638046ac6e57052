"""Servers that are one child process on a port of 127.0.0.1, and that find their port again."""

from __future__ import annotations

import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from ragwheel.stack.processes.child import ManagedProcess, ProcessFailedError
from ragwheel.stack.processes.ports import listens, noted_port, port_is_free

#: A log is complete at every moment, and a crash of a C library leaves the stack that led to it.
PYTHON_LOGS = {"PYTHONUNBUFFERED": "1", "PYTHONFAULTHANDLER": "1"}
# A starved machine may need very long.
_START_TIMEOUT_S = 120.0


class LoopbackServer(ManagedProcess, ABC):
    """A server of the stack; `with` starts and stops it.

    What it listens on once, it listens on whenever it is started again: others know its address.

    Args:
        address: host:port or URL, with `{port}` in it.
        variables: RAGWHEEL_ variables that point others at it, with `{port}` in their values.
        name, log_path, output_path, env, grace_s: see `ManagedProcess`.
    """

    def __init__(
        self,
        name: str,
        *,
        address: str,
        variables: Mapping[str, str],
        log_path: Path,
        output_path: Path | None = None,
        env: Mapping[str, str] | None = None,
        grace_s: float = 10.0,
    ) -> None:
        super().__init__(
            name,
            (),
            log_path=log_path,
            output_path=output_path,
            env=env,
            ready=self._answers,
            start_timeout_s=_START_TIMEOUT_S,
            grace_s=grace_s,
        )
        self._address = address
        self._variables = variables
        self._port = 0

    @abstractmethod
    def _prepare(self) -> list[str]:
        """The command line, before each launch. Sets `_port`, unless `_answers` will, and keeps
        one that is set.

        Raises:
            ConfigError, DependencyError: it cannot be started like this.
        """

    def _answers(self) -> bool:
        """Whether it is ready; called again and again once it is launched."""
        return listens(self._port)

    @property
    def port(self) -> int:
        """The port of a started server."""
        if self.pid is None:
            raise ProcessFailedError(f"{self.name} is not started, so it has no port yet")
        return self._port

    @property
    def address(self) -> str:
        """Where others find it; known once it is ready, and remembered after `stop`."""
        return self._address.format(port=self._port) if self._port else ""

    def settings(self) -> dict[str, str]:
        """RAGWHEEL_ variables that point others at it; valid once it is ready."""
        return {name: value.format(port=self._port) for name, value in self._variables.items()}

    def launch(self) -> None:
        """Starts it and returns at once, so several can start together; raises as `_prepare`."""
        if self.pid is None:
            self.argv = tuple(self._prepare())
        super().launch()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class PythonServer(LoopbackServer):
    """A server that is one of our modules: it takes `--port`, and tells its port in a file.

    Args:
        module: what `python -m` runs.
        arguments: beside `--port` and `--port-file`.
        port_file: written by the server once it listens, and read by its next run.
        port: None takes the last run's port if it is free, else any free one.
    """

    def __init__(
        self,
        name: str,
        module: str,
        arguments: Sequence[str],
        *,
        log_path: Path,
        port_file: Path,
        address: str,
        variables: Mapping[str, str],
        port: int | None = None,
    ) -> None:
        super().__init__(
            name,
            address=address,
            variables=variables,
            log_path=log_path,
            env=os.environ | PYTHON_LOGS,
        )
        self._command = [sys.executable, "-m", module, *arguments]
        self._port_file = port_file
        self._wanted_port = port

    def _prepare(self) -> list[str]:
        port = self._wanted_port or self._port
        if not port:
            last = noted_port(self._port_file)
            port = last if last and port_is_free(last) else 0
        self._port_file.parent.mkdir(parents=True, exist_ok=True)
        self._port_file.unlink(missing_ok=True)
        return [*self._command, "--port", str(port), "--port-file", str(self._port_file)]

    def _answers(self) -> bool:
        noted = noted_port(self._port_file)
        self._port = noted or self._port
        return bool(noted) and listens(noted)
