"""One child process: log file, readiness, orderly end."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ragwheel.operations.running import is_running
from ragwheel.schemas.errors import RagwheelError
from ragwheel.stack.processes.guardian import signal_group
from ragwheel.stack.processes.spawn import GUARDIAN

_log = logging.getLogger(__name__)

_POLL_S = 0.02
_LOG_TAIL_BYTES = 64 * 1024


class ProcessFailedError(RagwheelError):
    """A child process ended or did not become ready. The message carries its last log lines."""


def last_lines(path: Path, count: int = 20) -> list[str]:
    """The last `count` lines of a log file, fewer if it is short, none if it is missing."""
    try:
        with path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - _LOG_TAIL_BYTES))
            return file.read().decode(errors="replace").splitlines()[-count:]
    except FileNotFoundError:
        return []


def describe_status(status: int) -> str:
    """`with exit status 3` or `by SIGKILL`."""
    if status >= 0:
        return f"with exit status {status}"
    try:
        return f"by {signal.Signals(-status).name}"
    except ValueError:
        return f"by signal {-status}"


class ManagedProcess:
    """One child process with a log file, a readiness check and an orderly end.

    Not safe to start and stop from several threads at once.

    Args:
        name: what people call it, in messages.
        argv: program and arguments.
        env: its whole environment; None hands down ours.
        log_path: where to look when it fails; the directory is created.
        output_path: its standard output and error are appended here; None: to `log_path`.
        ready: called until it returns True; returns quickly, never raises. None: ready at once.
        cwd: working directory.
        start_timeout_s: how long `start` waits for `ready`.
        grace_s: how long `stop` waits between SIGTERM and SIGKILL.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        *,
        log_path: Path,
        output_path: Path | None = None,
        env: Mapping[str, str] | None = None,
        ready: Callable[[], bool] | None = None,
        cwd: Path | None = None,
        start_timeout_s: float = 60.0,
        grace_s: float = 10.0,
    ) -> None:
        self.name = name
        self.argv = tuple(argv)
        self.log_path = log_path
        self.output_path = output_path or log_path
        self._env = env
        self._ready = ready
        self._cwd = cwd
        self._start_timeout_s = start_timeout_s
        self._grace_s = grace_s
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Process id while a child is held (it may have ended meanwhile, see `poll`)."""
        return None if self._child is None else self._child.pid

    def poll(self) -> int | None:
        """Exit status (negative: signal number), or None while running or not started.

        When the child has ended, what it left in its process group is ended too.
        """
        child = self._child
        if child is None:
            return None
        # Not `child.poll`, which would reap it: see `_end_group`.
        if child.returncode is None and not is_running(child.pid):
            self._end_group(child)
        return child.returncode

    def start(self) -> None:
        """Starts the child and waits until it is ready.

        Raises:
            ProcessFailedError: it ended, or was not ready in time; nothing is left running.
        """
        self.launch()
        try:
            self.wait_ready()
        except BaseException:  # Ctrl-C too: whatever cuts a start short, nothing stays behind
            self.stop()
            raise

    def launch(self) -> None:
        """Starts the child and returns at once."""
        if self._child is not None:
            raise ProcessFailedError(f"{self.name} is started already (pid {self._child.pid})")
        for path in (self.log_path, self.output_path):
            path.parent.mkdir(parents=True, exist_ok=True)
        with self.output_path.open("ab") as output:
            self._child = GUARDIAN.spawn(
                self.argv, env=self._env, cwd=self._cwd, output=output.fileno()
            )
        _log.info("%s started, pid %d", self.name, self._child.pid)

    def wait_ready(self) -> None:
        """Waits until `ready` is True; raises ProcessFailedError if it ends before, or too late."""
        deadline = time.monotonic() + self._start_timeout_s
        while True:
            self._require_alive()
            if self.is_ready():
                return
            if time.monotonic() > deadline:
                raise ProcessFailedError(
                    f"{self.name} was not ready after {self._start_timeout_s:g} s"
                    + self.describe_log()
                )
            time.sleep(_POLL_S)

    def is_ready(self) -> bool:
        """Whether a launched child is ready now."""
        return self._ready is None or self._ready()

    def check(self) -> None:
        """Raises ProcessFailedError with the last log lines if the child has ended."""
        self._require_alive()

    def describe_log(self) -> str:
        """The end of what it wrote, indented, and where to find the rest; begins with a break."""
        told = ""
        for path in dict.fromkeys((self.output_path, self.log_path)):
            lines = last_lines(path, 15) or ["(empty)"]
            told += f"\n  log {path}:" + "".join(f"\n    {line}" for line in lines)
        return told

    def stop(self, *, hurry: Callable[[], bool] | None = None) -> None:
        """Ends the child: SIGTERM, then SIGKILL after the grace period or once `hurry` says True.

        Idempotent. Descendants in its process group end with it.
        """
        if self._child is None:
            return
        if self.poll() is None:
            signal_group(self._child.pid, signal.SIGTERM)
            deadline = time.monotonic() + self._grace_s
            while self.poll() is None and time.monotonic() < deadline:
                if hurry is not None and hurry():
                    break
                time.sleep(_POLL_S)
        self.kill()

    def kill(self) -> None:
        """Ends the child and its process group with SIGKILL and reaps it. Idempotent."""
        if self._child is None:
            return
        child = self._child
        if child.returncode is None:
            self._end_group(child)
        self._child = None
        _log.info("%s ended %s", self.name, describe_status(child.returncode))

    def _require_alive(self) -> None:
        if (status := self.poll()) is not None:
            raise ProcessFailedError(
                f"{self.name} ended {describe_status(status)}" + self.describe_log()
            )

    def _end_group(self, child: subprocess.Popen[bytes]) -> None:
        # Until it is reaped its number is ours: nobody else can get it, and be hit, before that.
        signal_group(child.pid, signal.SIGKILL)
        GUARDIAN.forget(child.pid)
        child.wait()
