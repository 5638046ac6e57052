"""Which local stack runs here, as it tells other processes in `<home>/state.json`.

The reading side alone: what production commands need to know of a laptop's stack without loading
it. `ragwheel.stack` writes what is read here.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import orjson
from pydantic import computed_field

#: Where a stack lives when nobody says otherwise, relative to the working directory.
DEFAULT_HOME = Path(".ragwheel")


@dataclass(frozen=True, slots=True)
class ProcessState:
    """One process of the stack.

    Attributes:
        pid: None while it is down (between a crash and its restart, or after `stop`).
        address: host:port or URL that others use, empty for workers.
        metrics_port: port of /metrics on 127.0.0.1, 0 if it has none.
        restarts: how often it was started again after dying.
    """

    name: str
    pid: int | None
    log_path: str
    address: str = ""
    metrics_port: int = 0
    restarts: int = 0

    @computed_field  # type: ignore[prop-decorator] # pydantic wants it on a property
    @property
    def alive(self) -> bool:
        """Whether a process with that id exists now."""
        return self.pid is not None and pid_exists(self.pid)


@dataclass(frozen=True, slots=True)
class StackState:
    """A stack as its file describes it.

    Attributes:
        pid: the process that holds the stack.
        started_at: ISO 8601, UTC.
        env: settings that point other processes at this stack, without secrets.
    """

    pid: int
    home: str
    started_at: str
    env: Mapping[str, str]
    processes: tuple[ProcessState, ...] = field(default=())

    def process(self, name: str) -> ProcessState | None:
        """The process called `name`."""
        return next((process for process in self.processes if process.name == name), None)


def choose_home(chosen: Path | None = None, env: Mapping[str, str] | None = None) -> Path:
    """`chosen`, or `RAGWHEEL_HOME`, or `./.ragwheel`; absolute, so that children may move."""
    named = (os.environ if env is None else env).get("RAGWHEEL_HOME")
    return (chosen or (Path(named) if named else DEFAULT_HOME)).expanduser().absolute()


def state_path(home: Path) -> Path:
    """The file in which the stack of `home` describes itself."""
    return home / "state.json"


def lock_path(home: Path) -> Path:
    """The file that a running stack keeps locked; its text is the process id."""
    return home / "lock"


def log_folder(home: Path) -> Path:
    """Where the processes of the stack of `home` write their output, one `<name>.log` each."""
    return home / "logs"


def read_state(home: Path) -> StackState | None:
    """The last state of the stack in `home`; None without one, or if the file makes no sense.

    It may describe a stack that has ended: see `running_pid`.
    """
    try:
        raw = orjson.loads(state_path(home).read_bytes())
        return StackState(
            pid=raw["pid"],
            home=raw["home"],
            started_at=raw["started_at"],
            env=raw["env"],
            processes=tuple(ProcessState(**process) for process in raw["processes"]),
        )
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError):
        return None


def running_state(home: Path) -> StackState | None:
    """State of the stack that runs in `home` now; None if none does, or if it is still starting."""
    state = read_state(home)
    # The file is written when everything runs; until then it tells of the stack before.
    return state if state is not None and state.pid == running_pid(home) else None


def running_pid(home: Path) -> int | None:
    """Process id of the stack that runs in `home`, None if none does."""
    try:
        with lock_path(home).open("r", encoding="utf-8") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                text = lock.read().strip()
                return int(text) if text.isdigit() else 0
    except FileNotFoundError:
        pass
    return None


def pid_exists(pid: int) -> bool:
    """Whether a process with that id exists, whoever owns it."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
