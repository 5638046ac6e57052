"""Ending the local stack of a home from another process. `ragwheel down` is this."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from ragwheel.operations.running import running_pid
from ragwheel.schemas.errors import ConfigError, TransientError

_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class Stopped:
    """What was ended.

    Attributes:
        pid: the process that held the stack; None: nothing was running.
    """

    home: str
    pid: int | None


def stop_stack(home: Path, timeout_s: float = 60.0) -> Stopped:
    """End the stack of `home` as Ctrl-C in its terminal would, and wait until it has ended.

    Only a process that holds the lock of the home now is signalled: a process id that was left in
    a file, and that somebody else has meanwhile, is not.

    Raises:
        ConfigError: it belongs to another user.
        TransientError: it did not end in time.
    """
    pid = running_pid(home)
    if pid is None:
        return Stopped(str(home), None)
    try:
        os.kill(pid, signal.SIGTERM)
    except PermissionError:
        raise ConfigError(
            f"the stack in {home} (pid {pid}) belongs to another user: they can end it"
        ) from None
    except ProcessLookupError:
        pass  # it ended by itself just now
    deadline = time.monotonic() + timeout_s
    while running_pid(home) == pid:
        if time.monotonic() > deadline:
            raise TransientError(
                f"the stack in {home} (pid {pid}) did not end within {timeout_s:g} s: wait, or "
                f"`kill -9 {pid}`, which ends its processes too"
            )
        time.sleep(_POLL_S)
    return Stopped(str(home), pid)
