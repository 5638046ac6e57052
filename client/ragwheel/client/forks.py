"""Who must start afresh in a forked child."""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class ForkAware(Protocol):
    """Has locks, threads or counts that a child must not share with its parent."""

    def after_fork_in_child(self) -> None:
        """Called in the child, where only the forking thread exists."""


_LIVE: weakref.WeakSet[ForkAware] = weakref.WeakSet()


def reset_after_fork(thing: ForkAware) -> None:
    """Call `thing.after_fork_in_child` in every child, as long as `thing` lives."""
    _LIVE.add(thing)


def _after_fork_in_child() -> None:
    for thing in list(_LIVE):
        thing.after_fork_in_child()


os.register_at_fork(after_in_child=_after_fork_in_child)
