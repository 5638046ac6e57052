"""Starting programs that cannot outlive this process: the parent's end of the guardian's pipe."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from ragwheel.stack.processes import guardian

# Tells the guardian its own number (which exec keeps), then becomes the program. It holds the pipe
# until it has announced itself: at no moment could a dying parent leave it behind unseen.
_ANNOUNCE_AND_EXEC = 'echo "add $$" >&0 && exec "$@" </dev/null'


class Guardian:
    """The parent's end of the pipe to its `guardian` process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._write_fd = -1
        self._groups: set[int] = set()

    def spawn(
        self, argv: Sequence[str], *, env: Mapping[str, str] | None, cwd: Path | None, output: int
    ) -> subprocess.Popen[bytes]:
        """Starts a program that cannot outlive this process."""
        with self._lock:
            self._ensure_running()
            child = subprocess.Popen(
                ["/bin/sh", "-c", _ANNOUNCE_AND_EXEC, argv[0], *argv],
                stdin=self._write_fd,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=None if env is None else dict(env),
                cwd=cwd,
                start_new_session=True,
            )
            self._groups.add(child.pid)
            return child

    def forget(self, group: int) -> None:
        """Stops watching a group that is gone, before its number is given to somebody else."""
        with self._lock:
            self._groups.discard(group)
            if self._write_fd >= 0:
                with contextlib.suppress(OSError):
                    os.write(self._write_fd, f"remove {group}\n".encode())

    def reset_after_fork(self) -> None:
        """In a forked child: the children are the parent's business, and so is the pipe."""
        self._lock = threading.Lock()
        if self._write_fd >= 0:
            os.close(self._write_fd)
        self._write_fd = -1
        self._process = None
        self._groups = set()

    def _ensure_running(self) -> None:
        if self._process is not None and self._process.poll() is None:
            return
        if self._write_fd >= 0:
            os.close(self._write_fd)
        read_fd, self._write_fd = os.pipe()
        # Isolated, and with an empty environment: nothing of the caller's can break or slow it.
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", guardian.__file__],
            stdin=read_fd,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={},
            start_new_session=True,
        )
        os.close(read_fd)
        for group in self._groups:
            os.write(self._write_fd, f"add {group}\n".encode())


#: One per process.
GUARDIAN = Guardian()
os.register_at_fork(after_in_child=GUARDIAN.reset_after_fork)
