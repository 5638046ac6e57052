"""What a run says while it works: one calm line per step, live on a terminal, sparse in a log."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn
from rich.table import Table

from ragwheel.demo.outcome import Step

#: A log file gets a progress line this often.
_LOG_INTERVAL_S = 5.0
#: Speed and time left are those of the last minute.
_SPEED_S = 60.0
_NAME_WIDTH = 22
#: Lines and tables are as wide as they are, except where a terminal is redrawn.
_LOG_WIDTH = 1_000


class Terminal:
    """Writes progress and remembers how long each step took.

    Not thread-safe: one thread tells the story. NO_COLOR is honoured; with CI in the environment a
    terminal is written to like a log.

    Args:
        out: where to write.
        now: monotonic seconds.
    """

    def __init__(self, out: TextIO, now: Callable[[], float] = time.monotonic) -> None:
        self._console = Console(file=out, markup=False, highlight=False, emoji=False)
        self._page = Console(file=out, markup=False, highlight=False, emoji=False, width=_LOG_WIDTH)
        self._live = self._console.is_interactive and not os.environ.get("CI")
        if not self._live:
            self._console = self._page
        self._now = now
        self._told_at = self._began = now()
        self._name = ""
        self._bar = self._new_bar()
        self._task = self._bar.add_task("")
        self.steps: list[Step] = []

    def say(self, *what: RenderableType, style: str | None = None) -> None:
        """Write between steps. Lines are never broken, so that paths can be copied."""
        for one in what:
            self._page.print(one, style=style, soft_wrap=not isinstance(one, Table))

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time a step; `progress` and `done` belong to it."""
        self._name, self._began = name, self._now()
        self._told_at = self._began
        self._bar = self._new_bar()
        self._task = self._bar.add_task(f"{name:<{_NAME_WIDTH}}", total=None, text="")
        try:
            with self._bar:
                yield
        finally:
            self.steps.append(Step(name, self._now() - self._began))

    def progress(self, text: str, done: int = 0, total: int = 0, unit: str = "") -> None:
        """Replace the live line; in a log, write a line every few seconds.

        Args:
            done: how much of `total` is done, if that can be counted; with it come speed and time
                left, by what the last minute brought.
            unit: what is counted.
        """
        if total:
            self._bar.update(self._task, completed=done, total=total)
        text = "; ".join(filter(None, (self._counted(done, total, unit), text)))
        self._bar.update(self._task, text=text)
        now = self._now()
        if not self._live and now - self._told_at >= _LOG_INTERVAL_S:
            self._told_at = now
            self._line("·", text)

    def done(self, text: str) -> None:
        """The step's result, which stays."""
        self._line("✓", text, style="green")

    def time_left(self) -> float | None:
        """Seconds until the step's count reaches its total, None while nobody can tell."""
        return self._bar.tasks[0].time_remaining

    def _counted(self, done: int, total: int, unit: str) -> str:
        text = counted(done, total, unit)
        speed, left = self._bar.tasks[0].speed, self.time_left()
        if not text or not speed or not left:
            return text
        return f"{text} ({speed:,.0f}/s, {in_words(left)} left)"

    def _line(self, mark: str, text: str, style: str | None = None) -> None:
        """One row, whose text is broken below itself where the window is narrow."""
        row = Table.grid()
        row.add_column(style=style, no_wrap=True)
        row.add_column()
        elapsed = self._now() - self._began
        row.add_row(f"{mark} {self._name:<{_NAME_WIDTH}} {elapsed:5.1f} s  ", text)
        self._console.print(row)

    def _new_bar(self) -> Progress:
        return Progress(
            SpinnerColumn(finished_text=" "),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[text]}", markup=False),
            console=self._console,
            get_time=self._now,
            speed_estimate_period=_SPEED_S,
            transient=True,
            disable=not self._live,
        )


def counted(done: int, total: int, unit: str) -> str:
    """`5 of 9 pairs`; nothing where there is no total."""
    return f"{done:,} of {total:,} {unit}".rstrip() if total else ""


def in_words(seconds: float) -> str:
    """`40 s`, `3 min`."""
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
