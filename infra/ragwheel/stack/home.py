"""The folder that holds one local stack: its paths, and the lock that keeps it to one stack."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from ragwheel.operations.credentials import clickhouse_dir
from ragwheel.operations.running import lock_path, state_path
from ragwheel.schemas.errors import ConfigError
from ragwheel.stack.processes.exclusive import Exclusive, HeldError

# What a stack makes in its home: folders with all that is in them, and files.
_FOLDERS = ("clickhouse", "kafka", "logs", "models", "prometheus", "run", "vectors")
_FILES = ("lock", "lock.holder", "state.json")


class Home:
    """Paths of one stack's data, logs and state. Everything a stack writes is below `root`.

    All of it is its owner's alone, for it holds what people asked and what they were shown: while
    the home is held, what this process and its children create is closed to others.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.expanduser().absolute()
        self.state_path = state_path(self.root)
        self.kafka_dir = self.root / "kafka"
        self.clickhouse_dir = clickhouse_dir(self.root)
        self.prometheus_dir = self.root / "prometheus"
        self.model_dir = self.root / "models"
        self.vector_cache_dir = self.root / "vectors"
        self.serving_dir = self.root / "serving"
        self._lock = Exclusive(lock_path(self.root))
        self._holds = False

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
        taken = False
        _close_umask(+1)
        try:
            self._lock.acquire()
            self._close_to_others()
            taken = self._holds = True
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
        finally:
            if not taken:
                _close_umask(-1)

    def release(self) -> None:
        """Give the home back. Idempotent."""
        self._lock.release()
        if self._holds:
            self._holds = False
            _close_umask(-1)

    def _close_to_others(self) -> None:
        """Also what an earlier stack left here. Other things in the folder are not touched."""
        self.root.chmod(0o700)
        for name in (*_FOLDERS, *_FILES):
            for path in (self.root / name, *(self.root / name).rglob("*")):
                try:
                    mode = path.lstat().st_mode
                    if not stat.S_ISLNK(mode) and mode & 0o077:
                        path.chmod(stat.S_IMODE(mode) & 0o700)
                except FileNotFoundError:
                    continue


_umasks: list[int] = []


def _close_umask(homes: int) -> None:
    """Hold the umask closed while this process holds a home: the last one that goes opens it."""
    if homes > 0:
        _umasks.append(os.umask(0o077))
    elif len(_umasks) > 1:
        _umasks.pop()
    else:
        os.umask(_umasks.pop())
