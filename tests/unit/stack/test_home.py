"""One stack per home, and where the home is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ragwheel.operations.running import choose_home, lock_path, note_path, running_pid
from ragwheel.schemas.errors import ConfigError
from ragwheel.stack.home import Home


def test_the_typed_home_wins_over_the_environment_and_the_default(tmp_path: Path) -> None:
    env = {"RAGWHEEL_HOME": str(tmp_path / "named")}
    assert choose_home(tmp_path / "typed", env) == tmp_path / "typed"
    assert choose_home(None, env) == tmp_path / "named"
    assert choose_home(None, {}) == Path.cwd() / ".ragwheel"


def test_a_second_stack_in_a_home_is_refused_with_the_pid_and_the_way_out(tmp_path: Path) -> None:
    first = Home(tmp_path)
    first.acquire()
    with pytest.raises(ConfigError, match=rf"pid {os.getpid()}.*--home DIR or RAGWHEEL_HOME"):
        Home(tmp_path).acquire()
    first.release()


def test_a_released_home_can_be_taken_again(tmp_path: Path) -> None:
    for _ in range(2):
        home = Home(tmp_path)
        home.acquire()
        with pytest.raises(ConfigError):
            Home(tmp_path).acquire()
        home.release()
        home.release()  # idempotent


def test_a_note_left_by_a_killed_stack_names_nobody_even_if_its_pid_lives_again(
    tmp_path: Path,
) -> None:
    home = Home(tmp_path)
    home.acquire()
    note = note_path(lock_path(tmp_path))
    pid, started = note.read_text("ascii").split()
    note.write_text(f"{pid} {float(started) - 60}\n", "ascii")
    assert running_pid(tmp_path) is None
    note.write_text("", "ascii")
    assert running_pid(tmp_path) is None
    home.release()


def test_two_homes_do_not_know_each_other(tmp_path: Path) -> None:
    homes = [Home(tmp_path / name) for name in ("one", "two")]
    for home in homes:
        home.acquire()
    assert [running_pid(home.root) for home in homes] == [os.getpid()] * 2
    for home in homes:
        home.release()


def test_a_home_without_a_stack_has_no_running_pid(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert running_pid(home.root) is None
    home.acquire()
    home.release()
    assert running_pid(home.root) is None


def test_a_home_that_is_a_file_is_refused_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="choose another with --home DIR"):
        Home(tmp_path / "file").acquire()


def test_paths_are_absolute_so_that_children_may_change_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert Home(Path("here")).log_path("intake") == tmp_path / "here" / "logs" / "intake.log"
