"""`ragwheel train`: progress while it runs, the verdict at the end."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial

from rich.console import Group, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from ragwheel.cli.output import console, table, tell
from ragwheel.trainers.cycle import CycleResult
from ragwheel.trainers.proof.evaluation import Figure, System
from ragwheel.trainers.stages import STAGES, progress_text

_EVERY_S = 2.0
_SYSTEMS: tuple[System, ...] = ("incumbent", "candidate", "delta")
_STYLES = {"promoted": "bold green", "refused": "bold yellow"}


@dataclass(frozen=True, slots=True)
class Training:
    """What a call of `ragwheel train` did; no model: too few of `threshold` queries were new.

    Attributes:
        available: answered queries that were new.
        figures: over all segments, of both models and their difference.
    """

    available: int
    threshold: int
    model_id: str | None = None
    verdict: str = ""
    reason: str = ""
    figures: Sequence[Figure] = ()
    stage_seconds: Mapping[str, float] = field(default_factory=dict)

    def of(self, result: CycleResult) -> Training:
        """This, with what a cycle found."""
        return replace(
            self,
            model_id=result.model.model_id,
            verdict=result.verdict.action,
            reason=result.verdict.reason,
            figures=[figure for figure in result.figures if figure.segment == "*"],
            stage_seconds=result.stage_seconds,
        )


@contextmanager
def stages() -> Iterator[Callable[[str, int, int], None]]:
    """Shows a trainer's progress on stderr: bars on a terminal, lines elsewhere."""
    if not sys.stderr.isatty():
        yield stage_lines(tell)
        return
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    )  # fmt: skip
    with Progress(*columns, console=console(sys.stderr)) as bars:
        yield partial(stage_bar, bars)


def stage_lines(
    show: Callable[[str], None], clock: Callable[[], float] = time.monotonic
) -> Callable[[str, int, int], None]:
    """Turns a trainer's progress into lines: the end of each stage, and one every few seconds."""
    last_at = clock() - _EVERY_S

    def told(stage: str, done: int, total: int) -> None:
        nonlocal last_at
        if done == total or clock() - last_at >= _EVERY_S:
            last_at = clock()
            show(f"{progress_text(stage, done, total)} ({done / max(1, total):.0%})")

    return told


def stage_bar(bars: Progress, stage: str, done: int, total: int) -> None:
    """Show a trainer's progress as one bar per stage, which names its unit."""
    told = f"{STAGES[stage].doing}, {STAGES[stage].unit}"
    bar = next((task.id for task in bars.tasks if task.description == told), None)
    if bar is None:
        bar = bars.add_task(told)
    bars.update(bar, completed=done, total=total)


def tables(report: Training) -> RenderableType:
    """The verdict, with the figures of both models over all segments and 95 % intervals."""
    parts: list[RenderableType] = []
    if report.figures:
        found = {(one.metric, one.k, one.system): f"{one.interval:.3f}" for one in report.figures}
        rows = [
            (f"{name}@{k}" if k else name, *(found.get((name, k, s), "-") for s in _SYSTEMS))
            for name, k in dict.fromkeys((name, k) for name, k, _ in found)
        ]
        parts += [table(("metric", "incumbent", "candidate", "difference"), rows), ""]
    took = ", ".join(f"{name} {s:.1f} s" for name, s in report.stage_seconds.items())
    verdict = (report.verdict.upper(), _STYLES.get(report.verdict, "bold"))
    parts += [
        Text.assemble(f"model {report.model_id}: ", verdict),
        report.reason,
        Text(f"({took})", "dim"),
    ]
    return Group(*parts)
