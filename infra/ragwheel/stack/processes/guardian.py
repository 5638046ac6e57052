"""The last line against orphans: kills registered process groups when the parent is gone.

Run as a script by `ragwheel.stack.processes.spawn`, one per supervising process, with the standard
library only and without site packages, so it starts in milliseconds and costs about 9 MB.

Standard input is a pipe held open by the parent. Lines are `add <pgid>` and `remove <pgid>`. End of
file means that every holder of the write end is dead, by whatever signal: then the groups that are
left get SIGTERM, and after a grace period SIGKILL.

Why not `PR_SET_PDEATHSIG`: it is Linux only, fires when the parent's *thread* ends, and misses
grandchildren. A pipe has none of the three faults.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time

#: Long enough for a broker to close its log segments; short enough for a person who waits.
GRACE_S = 5.0
_POLL_S = 0.05


def _alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        # macOS answers EPERM for a group that holds only zombies; nothing is left to kill.
        return False
    return True


def signal_group(group: int, number: signal.Signals) -> None:
    """Signals a process group, if any of it is left."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def end_groups(groups: set[int], *, grace_s: float = GRACE_S) -> None:
    """Ends all process groups, politely for `grace_s` seconds, then by force."""
    for group in groups:
        signal_group(group, signal.SIGTERM)
    deadline = time.monotonic() + grace_s
    while any(_alive(group) for group in groups) and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    for group in groups:
        signal_group(group, signal.SIGKILL)


def watch() -> None:
    """Follows the parent's orders until the pipe closes, then ends what is left."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: set[int] = set()
    for line in sys.stdin:
        order, _, value = line.strip().partition(" ")
        if not value.isdigit():
            continue
        if order == "add":
            groups.add(int(value))
        elif order == "remove":
            groups.discard(int(value))
    end_groups(groups)


if __name__ == "__main__":
    watch()
