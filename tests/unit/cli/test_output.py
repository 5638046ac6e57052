"""Where words go, and how tables look there."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable

import pytest
from rich.text import Text

from ragwheel.cli.output import right, show, table, tell


class Terminal(io.StringIO):
    """Standard output on a screen."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Callable[[], Terminal]:
    """Puts a terminal of 40 columns that knows colours in the place of standard output."""

    def put() -> Terminal:
        terminal = Terminal()
        monkeypatch.setattr(sys, "stdout", terminal)
        return terminal

    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "40")
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    return put


def test_numbers_stand_to_the_right_and_text_to_the_left(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show(table(("topic", "produced"), [("queries", 12_345), ("feedback", 7)]))
    assert capsys.readouterr().out.splitlines() == [
        "  topic     produced",
        "  queries     12,345",
        "  feedback         7",
    ]


def test_nothing_is_a_dash_and_does_not_make_a_column_text(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show(table(("n", "cost"), [(None, right("0.5")), (10, right("12.5"))]))
    assert capsys.readouterr().out.splitlines() == ["   n  cost", "   -   0.5", "  10  12.5"]


def test_a_table_without_rows_is_its_header(capsys: pytest.CaptureFixture[str]) -> None:
    show(table(("a", "b"), []))
    assert capsys.readouterr().out == "  a  b\n"


def test_in_a_pipe_a_row_is_one_plain_line_however_long(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    long = "[local] " + "reason " * 60
    show(table(("verdict", "why"), [(Text("ok", "green"), long)]), long)
    out = capsys.readouterr().out
    assert out.splitlines()[1:] == [f"  ok       {long}".rstrip(), long.rstrip()]


def test_on_a_terminal_a_row_has_colours_and_fits(screen: Callable[[], Terminal]) -> None:
    terminal = screen()
    show(table(("verdict", "why"), [(Text("ok", "green"), "reason " * 20)]))
    assert "\x1b[32mok" in terminal.getvalue()
    assert len(terminal.getvalue().splitlines()) > 4


def test_no_color_takes_the_colours_of_a_terminal(
    screen: Callable[[], Terminal], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    terminal = screen()
    show(Text("ok", "green"))
    assert terminal.getvalue() == "ok\n"


def test_messages_leave_the_result_alone(capsys: pytest.CaptureFixture[str]) -> None:
    tell("using the stack")
    show("result")
    assert capsys.readouterr() == ("result\n", "using the stack\n")


def test_a_reader_that_is_gone_is_told_to_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stdout", Closed())
    with pytest.raises(BrokenPipeError):
        show("result")
