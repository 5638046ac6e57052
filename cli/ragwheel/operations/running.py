"""Which local stack runs here, as it tells other processes in `<home>/state.json`.

The reading side alone: what production commands need to know of a laptop's stack without loading
it. `ragwheel.stack` writes what is read here.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import orjson
from pydantic import computed_field

#: Where a stack lives when nobody says otherwise, relative to the working directory.
DEFAULT_HOME = Path(".ragwheel")
# Ids come back after thousands of processes, never so soon.
_SAME_START_S = 1.0


@dataclass(frozen=True, slots=True)
class ProcessState:
    """One process of the stack.

    Attributes:
        pid: None while it is down (between a crash and its restart, or after `stop`).
        address: host:port or URL that others use, empty for workers.
        metrics_port: port of /metrics on 127.0.0.1, 0 if it has none.
        restarts: how often it was started again after dying.
        started: see `start_of`; tells it from a later process with its id. None: unknown.
    """

    name: str
    pid: int | None
    log_path: str
    address: str = ""
    metrics_port: int = 0
    restarts: int = 0
    started: float | None = None

    @computed_field
    @property
    def alive(self) -> bool:
        """Whether it runs now."""
        return self.pid is not None and is_running(self.pid, self.started)


@dataclass(frozen=True, slots=True)
class StackState:
    """A stack as its file describes it.

    Attributes:
        pid: the process that holds the stack.
        started_at: ISO 8601, UTC.
        env: settings that point other processes at this stack, without secrets but those that
            its own servers made up.
    """

    pid: int
    home: str
    started_at: str
    env: Mapping[str, str]
    processes: tuple[ProcessState, ...] = field(default=())

    @property
    def stand_in(self) -> bool:
        """Whether a stand-in grades instead of an LLM."""
        return self.process("llm") is not None

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
    """The file that a running stack keeps locked; who does is noted beside it."""
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
        processes = tuple(ProcessState(**process) for process in raw["processes"])
        return StackState(**{**raw, "processes": processes})
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError):
        return None


def running_state(home: Path) -> StackState | None:
    """State of the stack that runs in `home` now; None if none does, or if it is still starting."""
    state = read_state(home)
    # The file is written when everything runs; until then it tells of the stack before.
    return state if state is not None and state.pid == running_pid(home) else None


def running_pid(home: Path) -> int | None:
    """Process id of the stack that runs in `home`, None if none does."""
    return holder_of(lock_path(home))


def note_path(lock: Path) -> Path:
    """Where the holder of a lock writes `<process id> <start_of>`; not into the lock file itself,
    which a lock may truncate.
    """
    return lock.with_name(f"{lock.name}.holder")


def holder_of(lock: Path) -> int | None:
    """Process id of who holds a lock, None if nobody does. Takes no lock and writes nothing."""
    try:
        pid, started = note_path(lock).read_text("ascii").split()
        return int(pid) if is_running(int(pid), float(started)) else None
    except (OSError, ValueError):
        return None


def start_of(pid: int) -> float | None:
    """When a process started, in seconds after boot; None if there is none, or only its zombie."""
    # Here, because most commands find no stack to ask about.
    import psutil

    try:
        process = psutil.Process(pid)
        started = float(process.create_time() - psutil.boot_time())
        return None if process.status() == psutil.STATUS_ZOMBIE else started
    except psutil.Error:
        return None


def is_running(pid: int, started: float | None = None) -> bool:
    """Whether a process runs, whoever owns it; one that only waits to be reaped does not.

    Args:
        started: its `start_of`; a process that started at another time got its id after it.
    """
    now = start_of(pid)
    return now is not None and (started is None or abs(now - started) <= _SAME_START_S)
