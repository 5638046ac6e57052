"""`ragwheel up` as a process of its own, and what a shell can ask of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import orjson
from tests.rigs.children import module, spawn

from ragwheel.operations.running import StackState, read_state

#: Starting takes about 6 s here; machines that do other things as well are slower.
START_S = 60.0
STOP_S = 40.0


def clean_environment(**settings: str) -> dict[str, str]:
    """This process's environment without the settings of the developer's shell."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("RAGWHEEL_")}
    cache = {k: v for k, v in os.environ.items() if k == "RAGWHEEL_CACHE_DIR"}
    return {**kept, **cache, **settings}


def ragwheel(*argv: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Runs a command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "ragwheel.cli", *argv],
        input=stdin,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def wait_until(condition: Callable[[], bool], timeout_s: float, what: str) -> None:
    """Polls; fails the test when the time is over."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout_s:g} s: {what}"
        time.sleep(0.05)


def processes_of(home: Path) -> set[int]:
    """Every process that was started for this home, by its arguments or environment."""
    needle = str(home).encode()
    found = set()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            if needle in (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes():
                found.add(int(entry.name))
        except OSError:  # it ended meanwhile, or it is somebody else's
            continue
    return found


class Up:
    """One `ragwheel up`, in a process of its own."""

    def __init__(self, home: Path, *without: str, env: Mapping[str, str] | None = None) -> None:
        self.home = home
        home.mkdir(parents=True, exist_ok=True)
        self._output = home.with_suffix(".output")
        options = [part for name in without for part in ("--without", name)]
        self._output.unlink(missing_ok=True)
        self.process = spawn(
            module("ragwheel.cli", "up", "--home", str(home), *options),
            self._output,
            clean_environment(**(env or {})),
        )

    @property
    def output(self) -> str:
        """What it printed so far."""
        return self._output.read_text("utf-8")

    @property
    def state(self) -> StackState:
        """What it says of itself."""
        state = read_state(self.home)
        assert state is not None
        return state

    def says(self, text: str) -> None:
        """Waits until it prints `text`."""
        wait_until(
            lambda: text in self.output or self.process.poll() is not None, START_S, repr(text)
        )
        assert text in self.output, self.output

    def end(self, number: signal.Signals) -> int:
        """Sends a signal and waits for the end of `up` and of all that it started."""
        self.process.send_signal(number)
        status = self.process.wait(STOP_S)
        wait_until(lambda: not processes_of(self.home), STOP_S, "every process has ended")
        return status


def status_of(up: Up) -> dict[str, Any]:
    """`ragwheel status --json`."""
    done = ragwheel("status", "--json", "--home", str(up.home))
    assert done.stdout, done.stderr
    found = orjson.loads(done.stdout)
    assert isinstance(found, dict)
    assert done.returncode == (0 if found["healthy"] else 1)
    return found
