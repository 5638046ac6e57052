"""The shell's completion: a script for each shell, and quick answers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ragwheel.cli.commands import COMMANDS

_RUN = """
import sys
from ragwheel.cli.main import main
status = main(sys.argv[1:])
print(*sys.modules, file=sys.stderr)
sys.exit(status)
"""
#: What takes long to load, or is not there without further extras.
_HEAVY = {
    "confluent_kafka", "clickhouse_connect", "faust", "openai", "aiokafka", "numpy", "torch",
    "sentence_transformers", "chdb", "aiohttp", "pydantic",
}  # fmt: skip


def complete(shell: str, line: str) -> tuple[list[str], set[str]]:
    """What a shell is offered after `line`, and the modules that were loaded for it."""
    words = line.split(" ")
    asked = {
        "_RAGWHEEL_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
        "_TYPER_COMPLETE_ARGS": line,
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    done = subprocess.run(
        [sys.executable, "-c", _RUN],
        capture_output=True, text=True, check=False, env=os.environ | asked,
    )  # fmt: skip
    return done.stdout.split(), set(done.stderr.split())


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_a_script_that_asks_ragwheel(shell: str) -> None:
    asked = {"_RAGWHEEL_COMPLETE": f"source_{shell}"}
    done = subprocess.run(
        [sys.executable, "-m", "ragwheel.cli"],
        capture_output=True, text=True, check=True, env=os.environ | asked,
    )  # fmt: skip
    assert "_RAGWHEEL_COMPLETE" in done.stdout
    assert f"complete_{shell}" in done.stdout
    assert "ragwheel" in done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_beginning_of_a_command_is_completed(shell: str) -> None:
    offered, _ = complete(shell, "ragwheel st")
    assert any("status" in word for word in offered)
    assert not any("doctor" in word for word in offered)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("ragwheel ", set(COMMANDS)),
        ("ragwheel status --j", {"--json"}),
        ("ragwheel worker gr", {"grader"}),
        ("ragwheel models ro", {"rollback"}),
    ],
)
def test_commands_options_and_values_are_offered_without_loading_anything_heavy(
    line: str, expected: set[str]
) -> None:
    offered, loaded = complete("bash", line)
    assert set(offered) == expected
    assert not loaded & _HEAVY
    ours = {name for name in loaded if name.startswith("ragwheel.")}
    allowed = ("ragwheel.cli", "ragwheel.operations.extras", "ragwheel.operations.workers")
    assert {n for n in ours if not n.startswith(allowed)} == {"ragwheel.operations"}


def test_the_script_is_installed_for_the_shell_that_asks(tmp_path: Path) -> None:
    # Typer finds the shell by its process; the test's own shell is one.
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m ragwheel.cli --show-completion; true"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "complete_bash" in done.stdout
