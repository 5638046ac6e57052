"""`ragwheel train`: progress while it runs, the verdict at the end."""

from __future__ import annotations

import time
from collections.abc import Callable

from ragwheel.cli.views.table import table
from ragwheel.trainers.cycle import CycleResult

_EVERY_S = 2.0


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
        self._show(f"{stage}: {done:,} of {total:,} ({done / max(1, total):.0%})")


def as_text(result: CycleResult) -> str:
    """The verdict with the figures over all segments, before and after, with 95 % intervals."""
    figures = {
        (figure.metric, figure.k, figure.system): figure.interval
        for figure in result.figures
        if figure.segment == "*"
    }
    rows = []
    for metric, k in dict.fromkeys((metric, k) for metric, k, _ in figures):
        cells = []
        for system in ("incumbent", "candidate", "delta"):
            interval = figures.get((metric, k, system))
            cells.append(
                f"{interval.value:.3f} [{interval.low:.3f}, {interval.high:.3f}]"
                if interval
                else "-"
            )
        rows.append((f"{metric}@{k}" if k else metric, *cells))
    shown = table(("metric", "incumbent", "candidate", "difference"), rows) + "\n" if rows else ""
    took = ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in result.stage_seconds.items())
    return (
        f"{shown}model {result.model.model_id}: {result.verdict.action.upper()}\n"
        f"{result.verdict.reason}\n({took})"
    )
