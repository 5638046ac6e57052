"""How commands end: status, one line on stderr, no traceback."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest

from ragwheel.cli import command
from ragwheel.cli.commands import COMMANDS
from ragwheel.cli.main import main
from ragwheel.schemas.errors import (
    ConfigError,
    DependencyError,
    InvalidEventError,
    RagwheelError,
    UnavailableError,
)

Run = Callable[[Callable[[], int], list[str]], int]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Runs a command line with a command `it`, implemented by the test."""
    before = signal.getsignal(signal.SIGTERM)

    def run_it(action: Callable[[], int], argv: list[str]) -> int:
        file = SimpleNamespace(run=command.command("ragwheel it")(action))
        monkeypatch.setitem(sys.modules, "ragwheel.cli.commands.it", file)
        monkeypatch.setitem(COMMANDS, "it", "do it")
        command.load.cache_clear()
        return main(argv)

    yield run_it
    command.load.cache_clear()
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (RagwheelError("m"), 1),
        (InvalidEventError("oversize", "m"), 65),
        (UnavailableError("m"), 69),
        (ConfigError("m"), 78),
        (DependencyError("m", "pip install m"), 78),
    ],
)
def test_an_error_is_one_line_and_its_exit_status(
    run: Run, capsys: pytest.CaptureFixture[str], error: RagwheelError, status: int
) -> None:
    def fail() -> int:
        raise error

    assert run(fail, ["it"]) == status
    assert capsys.readouterr().err == f"ragwheel: {error}\n"


@pytest.mark.parametrize("by_setting", [True, False])
def test_debug_shows_the_traceback_and_keeps_the_status(
    run: Run,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    by_setting: bool,
) -> None:
    def fail() -> int:
        raise ConfigError("m")

    if by_setting:
        monkeypatch.setenv("RAGWHEEL_LOG_LEVEL", "DEBUG")
    assert run(fail, ["it"] if by_setting else ["it", "--debug"]) == 78
    assert "Traceback" in capsys.readouterr().err


def test_ctrl_c_is_130(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupt() -> int:
        raise KeyboardInterrupt

    assert run(interrupt, ["it"]) == 130
    assert "Traceback" not in capsys.readouterr().err


def test_sigterm_unwinds_so_that_children_are_ended(run: Run) -> None:
    unwound = []

    def wait() -> int:
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            unwound.append(True)
        return 0

    assert run(wait, ["it"]) == 143
    assert unwound


def test_a_programmers_error_is_not_hidden(run: Run) -> None:
    def fail() -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(fail, ["it"])


def test_the_status_of_a_command_is_passed_on(run: Run) -> None:
    assert run(lambda: 7, ["it"]) == 7


@pytest.mark.parametrize("argv", [[], ["nothing"], ["it", "--nothing"]])
def test_a_command_line_that_cannot_be_read_is_2(
    run: Run, capsys: pytest.CaptureFixture[str], argv: list[str]
) -> None:
    assert run(lambda: 0, argv) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "ragwheel" in captured.err


def test_libraries_are_silent_about_failures_that_our_line_tells(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    def warn() -> int:
        logging.getLogger("urllib3").warning("retrying")
        logging.getLogger("ragwheel.part").warning("ours")
        return 0

    root = logging.getLogger()
    handlers, root.handlers = root.handlers, []
    try:
        run(warn, ["it"])
    finally:
        root.handlers = handlers
    assert capsys.readouterr().err == "WARNING ragwheel.part: ours\n"


def test_a_misspelt_command_is_answered_with_the_nearest(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["statsu"]) == 2
    assert "Did you mean 'status'?" in capsys.readouterr().err


def test_a_reader_that_is_gone_is_141() -> None:
    script = "from ragwheel.cli.main import main; import sys; sys.exit(main(['version']))"
    child = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert child.stdout is not None
    child.stdout.close()
    assert child.wait() == 141
    assert child.stderr is not None
    assert child.stderr.read() == b""
    child.stderr.close()


def test_the_version_is_a_command_and_an_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version"]) == 0
    told = capsys.readouterr().out
    assert told.startswith("ragwheel ")
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == told


@pytest.mark.parametrize("argv", [[], ["--help"], ["status"]])
def test_without_the_extra_every_command_names_the_way_to_install_it(argv: list[str]) -> None:
    # `pip install ragwheel` alone: a service that sends events has no use for a terminal.
    script = (
        "import importlib.util as util, sys\n"
        "find = util.find_spec\n"
        "absent = ('typer', 'rich', 'psutil', 'filelock', 'platformdirs')\n"
        "util.find_spec = lambda name, *at: None if name in absent else find(name, *at)\n"
        "from ragwheel.cli.main import main\n"
        "status = main(sys.argv[1:])\n"
        "assert not set(absent) & set(sys.modules)\n"
        "sys.exit(status)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *argv], capture_output=True, text=True, check=False
    )
    assert done.returncode == 78
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "pip install 'ragwheel[cli]'" in done.stderr
