"""What a run says while it works: one calm line per step, live on a terminal, sparse in a log."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from ragwheel.demo.result import Step

#: A log file gets a progress line this often, a terminal is redrawn this often.
_LOG_INTERVAL_S = 5.0
_REDRAW_INTERVAL_S = 0.1
_NAME_WIDTH = 22


class Console:
    """Writes progress and remembers how long each step took.

    Not thread-safe: one thread tells the story.

    Args:
        out: where to write; a terminal is redrawn with carriage returns, anything else is not.
        now: monotonic seconds.
    """

    def __init__(self, out: TextIO, now: Callable[[], float] = time.monotonic) -> None:
        self._out = out
        self._now = now
        self._live = out.isatty()
        self._drawn = 0
        self._told_at = 0.0
        self._name = ""
        self._began = now()
        self.steps: list[Step] = []

    def say(self, text: str = "") -> None:
        """Write whole lines."""
        self._erase()
        self._out.write(text + "\n")
        self._out.flush()

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time a step; `progress` and `done` belong to the innermost one."""
        self._name, self._began = name, self._now()
        self._told_at = self._began
        try:
            yield
        finally:
            self.steps.append(Step(name, self._now() - self._began))
            self._erase()

    def progress(self, text: str) -> None:
        """Replace the live line; in a log, write a line every few seconds."""
        now = self._now()
        if now - self._told_at < (_REDRAW_INTERVAL_S if self._live else _LOG_INTERVAL_S):
            return
        self._told_at = now
        line = self._line("·", text, now)
        if self._live:
            width = shutil.get_terminal_size().columns - 1
            self._out.write("\r" + line[:width].ljust(min(self._drawn, width)))
            self._drawn = len(line[:width])
        else:
            self._out.write(line + "\n")
        self._out.flush()

    def done(self, text: str) -> None:
        """The step's result, which stays."""
        self.say(self._line("✓", text, self._now()))

    def failed(self, text: str) -> None:
        """What went wrong, which stays."""
        self.say(self._line("✗", text, self._now()))

    def _line(self, mark: str, text: str, now: float) -> str:
        return f"{mark} {self._name:<{_NAME_WIDTH}} {now - self._began:5.1f} s  {text}"

    def _erase(self) -> None:
        if self._drawn:
            self._out.write("\r" + " " * self._drawn + "\r")
            self._drawn = 0
