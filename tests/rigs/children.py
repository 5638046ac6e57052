"""Programs that tests start: they end with the test process, by whatever signal that ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import SecretStr

from ragwheel.schemas.settings import PREFIX, Settings
from ragwheel.stack.processes.spawn import GUARDIAN

# Background jobs of a shell ignore Ctrl-C and would hand that down.
_RUN_MODULE = (
    "import runpy, signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "runpy.run_module(sys.argv.pop(1), run_name='__main__', alter_sys=True)"
)
_STOP_TIMEOUT_S = 30.0


def environment(*settings: Settings) -> dict[str, str]:
    """This process's environment with `settings`, secrets too, and no others of ragwheel."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    for each in settings:
        for field in each.model_fields_set:
            value = getattr(each, field)
            text = value.get_secret_value() if isinstance(value, SecretStr) else value
            env[PREFIX + field.upper()] = str(text)
    return env


def module(name: str, *arguments: str) -> list[str]:
    """The command line of `python -m name`, answering Ctrl-C as in a terminal."""
    return [sys.executable, "-c", _RUN_MODULE, name, *arguments]


def spawn(
    argv: Sequence[str], output: Path, env: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a program; what it says is appended to `output`.

    Args:
        env: its whole environment; None hands down ours.
    """
    with output.open("ab") as file:
        return GUARDIAN.spawn(argv, env=env, cwd=None, output=file.fileno())


def end(process: subprocess.Popen[bytes]) -> None:
    """Leave nothing of it: SIGTERM, time to end its own children, SIGKILL. Idempotent."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    GUARDIAN.forget(process.pid)
