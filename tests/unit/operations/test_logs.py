"""Reading the logs of a local stack."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from ragwheel.operations.logs import choose_logs, read_logs
from ragwheel.schemas.errors import ConfigError
from ragwheel.stack.home import Home


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home in which intake and kafka wrote."""
    for name, text in {"intake": "one\ntwo\nthree\n", "kafka": "up\nhalf"}.items():
        path = Home(tmp_path).log_path(name)
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path


def test_all_processes_are_read_when_none_is_named(home: Path) -> None:
    assert list(choose_logs(home)) == ["intake", "kafka"]
    assert list(choose_logs(home, ["kafka"])) == ["kafka"]


def test_an_unknown_process_is_answered_with_those_that_there_are(home: Path) -> None:
    with pytest.raises(ConfigError, match=r"'grader' has no log in .*; there are intake, kafka"):
        choose_logs(home, ["grader"])


def test_a_home_without_a_stack_says_how_to_start_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="ragwheel up"):
        choose_logs(tmp_path)


def test_the_last_lines_of_each_are_read(home: Path) -> None:
    assert list(read_logs(choose_logs(home), 2)) == [
        ("intake", "two"),
        ("intake", "three"),
        ("kafka", "up"),
        ("kafka", "half"),
    ]
    assert list(read_logs(choose_logs(home), 0)) == []


def test_what_is_no_text_does_not_end_the_reading(home: Path) -> None:
    (home / "logs/intake.log").write_bytes(b"\xff\xfe\n")
    assert list(read_logs(choose_logs(home, ["intake"]), 5)) == [("intake", "��")]


def following(home: Path, *steps: tuple[str, str, str]) -> Iterator[tuple[str, str]]:
    """Follow from the end; each pause writes the next step: (mode of opening, name, text)."""
    waiting = iter(steps)

    def pause() -> None:
        mode, name, text = next(waiting)
        with (home / f"logs/{name}.log").open(mode, encoding="utf-8") as file:
            file.write(text)

    return read_logs(choose_logs(home), 0, follow=True, pause=pause)


def test_following_tells_new_lines_of_all_when_they_are_whole(home: Path) -> None:
    lines = following(home, ("a", "intake", "fo"), ("a", "kafka", "\n"), ("a", "intake", "ur\n"))
    assert list(islice(lines, 2)) == [("kafka", "half"), ("intake", "four")]


def test_a_log_that_is_written_anew_is_read_from_its_start(home: Path) -> None:
    lines = following(home, ("w", "intake", "new\n"))
    assert list(islice(lines, 1)) == [("intake", "new")]
