"""Files and folders change at once, or not at all."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from ragwheel.backends import files


def test_a_file_is_written_over_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "made" / "on the way" / "state"
    files.replace_file(path, b"old")
    files.replace_file(path, b"new")
    assert path.read_bytes() == b"new"
    assert os.listdir(path.parent) == ["state"]


@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_permissions_do_not_depend_on_the_umask(tmp_path: Path, mode: int) -> None:
    before = os.umask(0o077)
    try:
        files.replace_file(tmp_path / "state", b"", mode=mode)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == mode


def test_a_file_without_a_mode_of_its_own_and_a_folder_follow_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        files.replace_file(tmp_path / "state", b"")
        with files.staged_folder(tmp_path) as staged:
            files.put_in_place(staged, tmp_path / "model")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "model").stat().st_mode) == 0o700


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "state"
    path.mkdir()
    (path / "kept").touch()
    with pytest.raises(OSError, match="state"):
        files.replace_file(path, b"new")
    assert os.listdir(tmp_path) == ["state"]


def test_a_folder_appears_whole_and_readable_by_all(tmp_path: Path) -> None:
    target = tmp_path / "models" / "m1"
    with files.staged_folder(target.parent) as staged:
        (staged / "inner").mkdir()
        (staged / "inner" / "weights").write_bytes(b"w")
        assert not target.exists()
        files.put_in_place(staged, target)
    assert (target / "inner" / "weights").read_bytes() == b"w"
    assert os.listdir(target.parent) == ["m1"]
    assert stat.S_IMODE(target.stat().st_mode) == 0o755


def test_a_folder_that_is_not_put_in_its_place_is_removed(tmp_path: Path) -> None:
    def fail() -> None:
        with files.staged_folder(tmp_path) as staged:
            (staged / "half").touch()
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail()
    assert os.listdir(tmp_path) == []


def test_a_folder_with_content_is_never_replaced(tmp_path: Path) -> None:
    target = tmp_path / "m1"
    target.mkdir()
    (target / "weights").write_bytes(b"old")
    with files.staged_folder(tmp_path) as staged, pytest.raises(OSError, match="m1"):
        files.put_in_place(staged, target)
    assert (target / "weights").read_bytes() == b"old"


def test_content_is_on_disk_before_its_name_and_the_name_before_the_return(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[int | str] = []
    rename = Path.replace

    def replace(self: Path, target: Path) -> Path:
        steps.append("rename")
        return rename(self, target)

    monkeypatch.setattr(os, "fsync", lambda handle: steps.append(os.fstat(handle).st_ino))
    monkeypatch.setattr(Path, "replace", replace)
    models = tmp_path / "models"
    with files.staged_folder(models) as staged:
        (staged / "inner").mkdir()
        (staged / "inner" / "weights").touch()
        files.put_in_place(staged, models / "m1")
    m1 = models / "m1"
    content = [each.stat().st_ino for each in (m1, m1 / "inner", m1 / "inner" / "weights")]
    assert steps == [*content, "rename", models.stat().st_ino]


_WRITER = """
import sys
from pathlib import Path
from ragwheel.backends.files import replace_file
print("on", flush=True)
while True:
    for letter in b"ab":
        replace_file(Path(sys.argv[1]), bytes([letter]) * 100_000)
"""


def test_readers_beside_a_writer_that_is_killed_see_whole_files_only(tmp_path: Path) -> None:
    path = tmp_path / "state"
    files.replace_file(path, b"a" * 100_000)
    with subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(path)], stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        seen = {path.read_bytes() for _ in range(2_000)}
        writer.kill()
    seen.add(path.read_bytes())
    assert seen <= {b"a" * 100_000, b"b" * 100_000}
