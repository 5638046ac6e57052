"""Waiting for a stage of the loop: progress, an estimate, a deadline, and what to do about it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from ragwheel.demo.terminal import Console
from ragwheel.schemas.errors import RagwheelError
from ragwheel.stack.processes import last_lines

_POLL_S = 0.5
_LOG_LINES = 12


class DemoFailedError(RagwheelError):
    """A stage of the run did not happen. The message says where to look."""


class Checked(Protocol):
    """What is looked after while waiting: a `LocalStack`."""

    def check(self) -> None:
        """Raises when a process is gone for good."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a stage is.

    Attributes:
        done: the stage is over.
        text: for the person who waits.
        hopeless: it will not happen; waiting longer is a waste of time.
    """

    done: bool
    text: str
    hopeless: bool = False


@dataclass(frozen=True, slots=True)
class Awaited:
    """Something to wait for.

    Attributes:
        goal: as a noun phrase, "all labels".
        process: who does the work; its log is shown when it does not happen.
        advice: what to do when it does not happen.
    """

    goal: str
    process: str
    advice: str


def wait_for(
    awaited: Awaited,
    poll: Callable[[], Progress],
    console: Console,
    stack: Checked,
    *,
    log_path: Path,
    timeout_s: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> str:
    """Block until `poll` says that the stage is over.

    Args:
        log_path: log of the process that does the work.
        timeout_s: longest wait.

    Returns:
        The text of the last progress.

    Raises:
        DemoFailedError: the time ran out, or it is hopeless; with the log's end and the advice.
        ProcessFailedError: a process of the stack is gone for good.
    """
    began = clock()
    deadline = began + timeout_s
    while True:
        stack.check()
        progress = poll()
        if progress.done:
            return progress.text
        if progress.hopeless or clock() > deadline:
            lines = "".join(f"\n    {line}" for line in last_lines(log_path, _LOG_LINES))
            raise DemoFailedError(
                f"{awaited.goal}: not there after {clock() - began:.0f} s ({progress.text}). "
                f"{awaited.advice}" + (f"\n  log {log_path}:{lines}" if lines else "")
            )
        console.progress(progress.text)
        sleep(_POLL_S)


@dataclass(slots=True)
class Rate:
    """Speed of something that is counted, over the last seconds.

    Attributes:
        window_s: how far back it looks.
    """

    window_s: float = 10.0
    _seen: deque[tuple[float, int]] = field(default_factory=deque)

    def per_second(self, count: int, now: float) -> float:
        """Note a count and return the current speed, 0 while it is unknown."""
        self._seen.append((now, count))
        while now - self._seen[0][0] > self.window_s and len(self._seen) > 2:
            self._seen.popleft()
        began, first = self._seen[0]
        return (count - first) / (now - began) if now > began else 0.0

    def describe(self, count: int, total: int, now: float) -> str:
        """`1,200 of 3,000 (240/s, 8 s left)`."""
        speed = self.per_second(count, now)
        text = f"{count:,} of {total:,}"
        if speed <= 0 or count >= total:
            return text
        return f"{text} ({speed:,.0f}/s, {(total - count) / speed:.0f} s left)"
