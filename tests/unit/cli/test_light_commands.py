"""What production commands load: nothing of the laptop's stack."""

from __future__ import annotations

import ast
import os
import subprocess
import sys

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


@pytest.mark.parametrize(
    "command",
    [["migrate"], ["topics"], ["status"], ["worker", "intake"], ["worker", "accounts"],
     ["worker", "grader"], ["emit", "--file", os.devnull], ["replay"], ["train"], ["models"],
     ["down"]],
    ids=" ".join,
)  # fmt: skip
def test_a_production_command_loads_no_module_of_the_local_stack(command: list[str]) -> None:
    # Against a dead address: commands import late, so `--help` would prove nothing.
    done = subprocess.run(
        [sys.executable, "-c", _RUN, *command],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | _NOBODY,
    )
    loaded = ast.literal_eval(done.stdout.rpartition("LOADED ")[2].strip())
    assert "ragwheel.cli.main" in loaded
    assert [name for name in loaded if name.startswith(("ragwheel.stack", "ragwheel.demo"))] == []
    # It got as far as the dead address, or to the end.
    assert done.returncode in (0, 69), done.stderr
