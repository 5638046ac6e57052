"""Waiting for a stage of the loop: progress, a deadline, and what to do when it does not come."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial, wraps
from pathlib import Path
from typing import ParamSpec

from ragwheel.demo.terminal import Terminal, counted
from ragwheel.schemas.errors import RagwheelError
from ragwheel.stack.processes import last_lines

P = ParamSpec("P")
_POLL_S = 0.5
_LOG_LINES = 12


class DemoFailedError(RagwheelError):
    """A stage of the run did not happen. The message says where to look."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a stage is.

    Attributes:
        over: it has happened.
        text: for the person who waits, beside the count.
        count: (done, total), where it can be counted.
        unit: what is counted.
        hopeless: it will not happen; waiting longer is a waste of time.
    """

    over: bool
    text: str = ""
    count: tuple[int, int] = (0, 0)
    unit: str = ""
    hopeless: bool = False

    def __str__(self) -> str:
        """`5 of 9 pairs; the text`."""
        return "; ".join(filter(None, (counted(*self.count, self.unit), self.text)))


@dataclass(frozen=True, slots=True)
class Awaited:
    """Something to wait for.

    Attributes:
        goal: as a noun phrase, "all labels".
        process: who does the work, "" for this one; its log is shown when it does not happen.
        advice: what to do when it does not happen.
        poll: how it stands now.
    """

    goal: str
    process: str
    advice: str
    poll: Callable[[], Standing]


def awaited(
    goal: str, process: str, advice: str
) -> Callable[[Callable[P, Standing]], Callable[P, Awaited]]:
    """A function that says how a stage stands becomes one that says what to wait for."""

    def made(standing: Callable[P, Standing]) -> Callable[P, Awaited]:
        @wraps(standing)
        def with_poll(*args: P.args, **kwargs: P.kwargs) -> Awaited:
            return Awaited(goal, process, advice, partial(standing, *args, **kwargs))

        return with_poll

    return made


def wait_for(
    awaited: Awaited,
    terminal: Terminal,
    check: Callable[[], None],
    *,
    log_path: Path | None,
    timeout_s: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> str:
    """Block until the stage is over.

    Args:
        check: raises when a process of the stack is gone for good.
        log_path: log of the process that does the work, if it has one.
        timeout_s: longest wait without any change: it ends what hangs, not what is slow.

    Returns:
        How it stood at last, in words.

    Raises:
        DemoFailedError: the time ran out, or it is hopeless; with the log's end and the advice.
    """
    began = moved_at = clock()
    last = None
    while True:
        check()
        standing = awaited.poll()
        if standing.over:
            return str(standing)
        if standing != last:
            last, moved_at = standing, clock()
        waited = clock() - began
        if standing.hopeless or clock() - moved_at > timeout_s:
            log = last_lines(log_path, _LOG_LINES) if log_path else []
            lines = "".join(f"\n    {line}" for line in log)
            raise DemoFailedError(
                f"{awaited.goal}: not there after {waited:.0f} s ({standing}). "
                f"{awaited.advice}" + (f"\n  log {log_path}:{lines}" if lines else "")
            )
        terminal.progress(standing.text, *standing.count, standing.unit)
        sleep(_POLL_S)
