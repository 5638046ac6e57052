"""`ragwheel logs` and `ragwheel down`: what they print."""

from __future__ import annotations

from pathlib import Path

import pytest

from ragwheel.cli.main import main


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home in which two processes wrote."""
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs/intake.log").write_text("landed\n", encoding="utf-8")
    (tmp_path / "logs/clickhouse.log").write_text("[ready]\n", encoding="utf-8")
    return tmp_path


def test_lines_of_several_processes_carry_their_names(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["logs", "--home", str(home)]) == 0
    assert capsys.readouterr().out == "clickhouse │ [ready]\nintake     │ landed\n"


def test_one_process_is_shown_as_it_wrote(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["logs", "clickhouse", "--home", str(home)]) == 0
    assert capsys.readouterr().out == "[ready]\n"


def test_an_unknown_process_is_a_line_with_those_that_there_are(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["logs", "grader", "--home", str(home)]) == 78
    assert "there are clickhouse, intake" in capsys.readouterr().err


def test_ending_what_does_not_run_is_a_notice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["down", "--home", str(tmp_path)]) == 0
    assert capsys.readouterr() == ("", f"no stack is running in {tmp_path}\n")
