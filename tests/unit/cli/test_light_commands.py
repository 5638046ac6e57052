"""What production commands load: nothing of the laptop's stack."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

_NOBODY = {
    "RAGWHEEL_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
    "RAGWHEEL_CLICKHOUSE_URL": "http://default:@127.0.0.1:1/ragwheel",
}
_RUN = """
import atexit, os, sys
def tell():
    names = sorted(name for name in sys.modules if name.startswith("ragwheel."))
    print("LOADED", names, flush=True)
atexit.register(tell)
os.execv = lambda *_: sys.exit(0)  # a worker replaces this process
from ragwheel.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


_COMMANDS = (
    "migrate", "topics", "status", "worker intake", "worker accounts", "worker grader",
    f"emit --file {os.devnull}",
    "replay", "train", "models", "down", "forget --user u --yes",
)  # fmt: skip


@pytest.fixture(scope="module")
def running() -> Iterator[dict[str, subprocess.Popen[str]]]:
    """Every command against a dead address, all at once: most of their time is patience."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("RAGWHEEL_")}
    started = {
        command: subprocess.Popen(
            [sys.executable, "-c", _RUN, *command.split()],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=plain | _NOBODY,
        )
        for command in _COMMANDS
    }
    yield started
    for process in started.values():
        process.kill()
        process.communicate()


@pytest.mark.parametrize("command", _COMMANDS)
def test_a_production_command_loads_no_module_of_the_local_stack(
    running: dict[str, subprocess.Popen[str]], command: str
) -> None:
    # Against a dead address: commands import late, so `--help` would prove nothing.
    out, errors = running[command].communicate()
    loaded = ast.literal_eval(out.rpartition("LOADED ")[2].strip())
    assert "ragwheel.cli.main" in loaded
    assert [name for name in loaded if name.startswith(("ragwheel.stack", "ragwheel.demo"))] == []
    # It got as far as the dead address, or to the end.
    assert running[command].returncode in (0, 69), errors
