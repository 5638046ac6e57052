"""One stack per home, and where the home is."""

from __future__ import annotations

import os
import stat
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


def _modes(root: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in (root, *root.rglob("*"))}


def test_what_an_earlier_stack_left_open_is_closed_to_others_and_nothing_else(
    tmp_path: Path,
) -> None:
    root = tmp_path / "home"
    for folder in ("logs", "kafka/storage", "own"):
        (root / folder).mkdir(parents=True)
    for file in ("logs/intake.log", "kafka/storage/00.log", "state.json", "own/notes"):
        (root / file).touch()
        (root / file).chmod(0o644)
    (tmp_path / "elsewhere").touch(0o644)
    (root / "kafka" / "link").symlink_to(tmp_path / "elsewhere")
    home = Home(root)
    home.acquire()
    home.release()
    modes = _modes(root)
    assert [modes[name] for name in ("home", "logs", "kafka", "storage")] == [0o700] * 4
    assert [modes[name] for name in ("intake.log", "00.log", "state.json")] == [0o600] * 3
    assert (modes["own"], modes["notes"]) == (0o755, 0o644), "the user's own stays as it is"
    assert stat.S_IMODE((tmp_path / "elsewhere").stat().st_mode) == 0o644


def test_what_is_created_while_a_home_is_held_is_its_owners_alone(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.acquire()
    home.log_path("intake").parent.mkdir()
    home.log_path("intake").touch()
    assert set(_modes(home.root).values()) == {0o700, 0o600}
    home.release()
    (tmp_path / "after").touch()
    assert stat.S_IMODE((tmp_path / "after").stat().st_mode) == 0o644


def test_a_home_that_is_refused_changes_nothing_for_this_process(tmp_path: Path) -> None:
    holder = Home(tmp_path)
    holder.acquire()
    with pytest.raises(ConfigError):
        Home(tmp_path).acquire()
    assert os.umask(0o077) == 0o077, "the holder's"
    holder.release()
    assert os.umask(0o022) == 0o022


def test_the_last_of_two_homes_lets_others_in_again(tmp_path: Path) -> None:
    homes = [Home(tmp_path / name) for name in ("one", "two")]
    for home in homes:
        home.acquire()
    homes[0].release()
    assert os.umask(0o077) == 0o077
    homes[1].release()
    assert os.umask(0o022) == 0o022
