"""`ragwheel train`: progress while it runs, the verdict at the end."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Group, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from ragwheel.cli.output import console, table, tell
from ragwheel.cli.reports import MetricLine, Training
from ragwheel.trainers.stages import STAGES, progress_text

_EVERY_S = 2.0
_SYSTEMS = ("incumbent", "candidate", "delta")
_STYLES = {"promoted": "bold green", "refused": "bold yellow"}


@contextmanager
def stages() -> Iterator[Callable[[str, int, int], None]]:
    """Shows a trainer's progress on stderr: bars on a terminal, lines elsewhere."""
    if not sys.stderr.isatty():
        yield StageLines(tell)
        return
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    )  # fmt: skip
    with Progress(*columns, console=console(sys.stderr)) as bars:
        yield StageBars(bars)


class StageLines:
    """Turns a trainer's progress into lines: the end of each stage, and one every few seconds."""

    def __init__(
        self, show: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._show = show
        self._clock = clock
        self._last_at = clock() - _EVERY_S

    def __call__(self, stage: str, done: int, total: int) -> None:
        now = self._clock()
        if done < total and now - self._last_at < _EVERY_S:
            return
        self._last_at = now
        self._show(f"{progress_text(stage, done, total)} ({done / max(1, total):.0%})")


class StageBars:
    """Turns a trainer's progress into one bar per stage, which names its unit."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars

    def __call__(self, stage: str, done: int, total: int) -> None:
        told = f"{STAGES[stage].doing}, {STAGES[stage].unit}"
        bar = next((task.id for task in self._bars.tasks if task.description == told), None)
        if bar is None:
            bar = self._bars.add_task(told)
        self._bars.update(bar, completed=done, total=total)


def tables(report: Training) -> RenderableType:
    """The verdict, with the figures of both models over all segments and 95 % intervals."""
    parts: list[RenderableType] = []
    if report.metrics:
        lines = {(line.metric, line.k, line.system): line for line in report.metrics}
        rows = [
            (f"{name}@{k}" if k else name, *(_interval(lines.get((name, k, s))) for s in _SYSTEMS))
            for name, k in dict.fromkeys((name, k) for name, k, _ in lines)
        ]
        parts += [table(("metric", "incumbent", "candidate", "difference"), rows), ""]
    took = ", ".join(f"{name} {s:.1f} s" for name, s in (report.stage_seconds or {}).items())
    verdict = (report.verdict.upper(), _STYLES.get(report.verdict, "bold"))
    parts += [
        Text.assemble(f"model {report.model_id}: ", verdict),
        report.reason,
        Text(f"({took})", "dim"),
    ]
    return Group(*parts)


def _interval(line: MetricLine | None) -> str:
    return f"{line.value:.3f} [{line.low:.3f}, {line.high:.3f}]" if line else "-"
