"""The one way to change what is on disk: at once, and for good.

A reader or a crash finds either what was there before or all of what is new, never a part; what
`put_in_place` has returned for survives a loss of power.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: Unfinished work is hidden under this beginning, in the folder where it shall go.
STAGED = ".new-"


def replace_file(path: Path, content: bytes, *, mode: int | None = None) -> None:
    """Write a file whole, over what was there; its folder is made if it is missing.

    Args:
        mode: permissions, whatever the umask; the file never has wider ones, not even while it is
            written. None: those of any new file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = _unused_name(path.parent)
    handle = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666 if mode is None else 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            if mode is not None:
                os.fchmod(file.fileno(), mode)
        put_in_place(staged, path)
    finally:
        staged.unlink(missing_ok=True)


@contextmanager
def staged_folder(parent: Path) -> Iterator[Path]:
    """A new folder for `put_in_place`, below `parent`, which is made if it is missing.

    It is removed at the end unless it was put in its place.
    """
    parent.mkdir(parents=True, exist_ok=True)
    folder = _unused_name(parent)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def put_in_place(staged: Path, target: Path) -> None:
    """Move a file, or a folder with all that is in it, to `target` on the same file system.

    Raises:
        OSError: `target` is a folder that is not empty, or the disk is full.
    """
    for path in (staged, *staged.rglob("*")) if staged.is_dir() else (staged,):
        _sync(path)
    staged.replace(target)
    _sync(target.parent)


def remove_file(path: Path) -> None:
    """Remove a file for good; one that is not there is removed already."""
    path.unlink(missing_ok=True)
    _sync(path.parent)


def _unused_name(parent: Path) -> Path:
    return parent / f"{STAGED}{secrets.token_hex(8)}"


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
