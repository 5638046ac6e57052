"""What the processes of a local stack wrote, from the files in its home."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from ragwheel.operations.running import log_folder
from ragwheel.schemas.errors import ConfigError

_POLL_S = 0.2

Line = tuple[str, str]
"""Name of a process, and a line that it wrote, without its end."""


def choose_logs(home: Path, names: Sequence[str] = ()) -> dict[str, Path]:
    """Log file of each named process; of all that ever ran in `home` when none is named.

    Raises:
        ConfigError: no stack ever ran there, or no process of it has that name.
    """
    files = {path.stem: path for path in sorted(log_folder(home).glob("*.log"))}
    if not files:
        raise ConfigError(f"no stack ever ran in {home}: start one with `ragwheel up`")
    for name in names:
        if name not in files:
            raise ConfigError(f"{name!r} has no log in {home}; there are {', '.join(files)}")
    return {name: files[name] for name in names or files}


def read_logs(
    logs: Mapping[str, Path],
    lines: int,
    *,
    follow: bool = False,
    pause: Callable[[], None] = lambda: time.sleep(_POLL_S),
) -> Iterator[Line]:
    """The last `lines` lines of each log; then, to follow, new ones as they are written, for ever.

    A file that is shorter than before was written anew and is read from its start.

    Args:
        pause: called when nothing is new.
    """
    with ExitStack() as cleanup:
        opened = {name: cleanup.enter_context(path.open("rb")) for name, path in logs.items()}
        for name, file in opened.items():
            last = list(_told(name, file, deque(file, maxlen=max(1, lines)), whole=not follow))
            yield from last[max(0, len(last) - lines) :]
        while follow:
            new: list[Line] = []
            for name, file in opened.items():
                if os.fstat(file.fileno()).st_size < file.tell():
                    file.seek(0)
                new += _told(name, file, iter(file.readline, b""), whole=False)
            yield from new
            if not new:
                pause()


def _told(name: str, file: IO[bytes], raw: Iterable[bytes], *, whole: bool) -> Iterator[Line]:
    """The lines in `raw`, just read from `file`; an unfinished one goes back if not `whole`."""
    for line in raw:
        if not line.endswith(b"\n") and not whole:
            file.seek(-len(line), os.SEEK_CUR)
            return
        yield name, line.decode(errors="replace").rstrip("\r\n")
