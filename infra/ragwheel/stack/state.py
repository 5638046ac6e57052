"""What a running stack tells other processes about itself, in `<home>/state.json`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import orjson

from ragwheel.stack.home import Home
from ragwheel.stack.options import DEMO_API_KEY

#: Names that end like this carry secrets and stay out of the file.
_SECRET_SUFFIXES = ("_API_KEY", "_PASSWORD")


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


def write_state(home: Home, state: StackState) -> None:
    """Replace the file at once, so that no reader sees half of it; readable by the owner only."""
    public = {name: value for name, value in state.env.items() if not _is_secret(name, value)}
    text = orjson.dumps(asdict(state) | {"env": public}, option=orjson.OPT_INDENT_2)
    staged = home.state_path.with_name(f".state.{os.getpid()}.json")
    with open(os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(text)
    staged.replace(home.state_path)


def read_state(home: Home | Path) -> StackState | None:
    """The last state of the stack in `home`; None without one, or if the file makes no sense.

    It may describe a stack that has ended: see `Home.running_pid`.
    """
    home = home if isinstance(home, Home) else Home(home)
    try:
        raw = orjson.loads(home.state_path.read_bytes())
        return StackState(
            pid=raw["pid"],
            home=raw["home"],
            started_at=raw["started_at"],
            env=raw["env"],
            processes=tuple(ProcessState(**process) for process in raw["processes"]),
        )
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError):
        return None


def running_state(home: Home | Path) -> StackState | None:
    """State of the stack that runs in `home` now; None if none does, or if it is still starting."""
    home = home if isinstance(home, Home) else Home(home)
    state = read_state(home)
    # The file is written when everything runs; until then it tells of the stack before.
    return state if state is not None and state.pid == home.running_pid() else None


def _is_secret(name: str, value: str) -> bool:
    return name.endswith(_SECRET_SUFFIXES) and value != DEMO_API_KEY


def pid_exists(pid: int) -> bool:
    """Whether a process with that id exists, whoever owns it."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
