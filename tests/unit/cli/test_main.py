"""How commands end: status, one line on stderr, no traceback."""

from __future__ import annotations

import argparse
import logging
import signal
from collections.abc import Callable, Iterator

import pytest

from ragwheel.cli import main
from ragwheel.cli.command import Command, no_options
from ragwheel.schemas.errors import (
    ConfigError,
    DependencyError,
    InvalidEventError,
    RagwheelError,
    UnavailableError,
)

Run = Callable[[Callable[[argparse.Namespace], int], list[str]], int]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Runs a command line whose only command is `it`, implemented by the test."""
    before = signal.getsignal(signal.SIGTERM)

    def run_it(action: Callable[[argparse.Namespace], int], argv: list[str]) -> int:
        command = Command("it", "do it", ("ragwheel it",), no_options, action)
        monkeypatch.setattr(main, "COMMANDS", (command,))
        return main.main(argv)

    yield run_it
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
    def fail(_args: argparse.Namespace) -> int:
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
    def fail(_args: argparse.Namespace) -> int:
        raise ConfigError("m")

    if by_setting:
        monkeypatch.setenv("RAGWHEEL_LOG_LEVEL", "DEBUG")
    assert run(fail, ["it"] if by_setting else ["it", "--debug"]) == 78
    assert "Traceback" in capsys.readouterr().err


def test_ctrl_c_is_130(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupt(_args: argparse.Namespace) -> int:
        raise KeyboardInterrupt

    assert run(interrupt, ["it"]) == 130
    assert "Traceback" not in capsys.readouterr().err


def test_sigterm_unwinds_so_that_children_are_ended(run: Run) -> None:
    unwound = []

    def wait(_args: argparse.Namespace) -> int:
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            unwound.append(True)
        return 0

    with pytest.raises(SystemExit) as end:
        run(wait, ["it"])
    assert end.value.code == 143
    assert unwound


def test_a_programmers_error_is_not_hidden(run: Run) -> None:
    def fail(_args: argparse.Namespace) -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(fail, ["it"])


def test_the_status_of_a_command_is_passed_on(run: Run) -> None:
    assert run(lambda _args: 7, ["it"]) == 7


@pytest.mark.parametrize("argv", [[], ["nothing"], ["it", "--nothing"]])
def test_a_command_line_that_cannot_be_read_is_2(run: Run, argv: list[str]) -> None:
    with pytest.raises(SystemExit) as end:
        run(lambda _args: 0, argv)
    assert end.value.code == 2


def test_libraries_are_silent_about_failures_that_our_line_tells(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    def warn(_args: argparse.Namespace) -> int:
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
