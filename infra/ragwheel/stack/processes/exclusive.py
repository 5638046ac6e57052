"""A folder that one process has to itself, and who that is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Self

from filelock import FileLock, Timeout

from ragwheel.operations.running import holder_of, note_path, start_of
from ragwheel.schemas.errors import ConfigError


class HeldError(ConfigError):
    """Another process has it."""

    def __init__(self, lock: Path) -> None:
        self.pid = holder_of(lock)
        super().__init__(f"{lock.parent} is in use by process {self.pid or 'unknown'}")


class Exclusive:
    """A lock that ends with its process, however that ends. Others ask `holder_of` who has it.

    Args:
        lock: a file; its folder is created.
        patience_s: how long `acquire` waits for a holder that is about to end.
    """

    def __init__(self, lock: Path, *, patience_s: float = 0.0) -> None:
        self._lock = lock
        self._patience_s = patience_s
        self._held: FileLock | None = None

    def acquire(self) -> None:
        """Take it.

        Raises:
            HeldError: another process, or another object of this one, has it.
            OSError: the folder cannot be written.
        """
        self._lock.parent.mkdir(parents=True, exist_ok=True)
        held = FileLock(self._lock, thread_local=False)
        try:
            held.acquire(timeout=self._patience_s, poll_interval=0.05)
        except Timeout:
            raise HeldError(self._lock) from None
        note_path(self._lock).write_text(f"{os.getpid()} {start_of(os.getpid())}\n", "ascii")
        self._held = held

    def release(self) -> None:
        """Give it back. Idempotent."""
        if self._held is not None:
            note_path(self._lock).unlink(missing_ok=True)
            self._held.release()
            self._held = None

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
