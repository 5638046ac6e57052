"""The plot that matters: quality before and after with 95 % intervals, per segment. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ragwheel.demo.report.svg import Canvas
from ragwheel.demo.result import ALL_SEGMENTS, Comparison, Interval

_WIDTH = 920.0
_Scale = Callable[[float], float]


def comparison_plot(rows: Sequence[Comparison]) -> str:
    """Two points with whiskers per segment; the paired difference in figures at the right."""
    left, top, row, span = 130.0, 28.0, 46.0, 500.0
    height = top + row * len(rows) + 30
    canvas = Canvas(_WIDTH, height, "Recall before and after, per segment")
    bounds = [i for r in rows for i in (r.before, r.after)]
    low = _floor(min((i.low for i in bounds), default=0.0))
    high = _ceil(max((i.high for i in bounds), default=1.0))

    def place(value: float) -> float:
        return left + span * (value - low) / (high - low)

    steps = round((high - low) * 10)
    for tenth in range(steps + 1):
        tick = low + tenth / 10
        canvas.line(place(tick), top - 4, place(tick), height - 26, "grid")
        canvas.text(place(tick), height - 8, f"{tick:.1f}", "small", anchor="middle")
    canvas.text(left + span + 24, 12, "paired difference, 95 %", "small")
    canvas.text(_WIDTH, 12, "queries", "small", anchor="end")
    for index, item in enumerate(rows):
        y = top + row * index + 16
        name = "all segments" if item.segment == ALL_SEGMENTS else item.segment
        weight = "label strong" if item.segment == ALL_SEGMENTS else "label"
        canvas.text(left - 18, y + 5, name, weight, anchor="end")
        _whisker(canvas, place, item.before, y - 7, "before")
        _whisker(canvas, place, item.after, y + 7, "after")
        delta = item.delta
        proven = "figure after-text" if delta.low > 0 else "figure"
        proven = "figure worse-text" if delta.high < 0 else proven
        canvas.text(left + span + 24, y + 5, f"{delta.value:+.3f}", proven)
        interval = f"[{delta.low:+.3f}, {delta.high:+.3f}]"
        canvas.text(left + span + 84, y + 5, interval, "small")
        canvas.text(_WIDTH, y + 5, f"{item.queries:,}", "small", anchor="end")
    return canvas.render()


def _whisker(canvas: Canvas, place: _Scale, interval: Interval, y: float, css: str) -> None:
    canvas.line(place(interval.low), y, place(interval.high), y, f"{css}-line")
    for end in (interval.low, interval.high):
        canvas.line(place(end), y - 3, place(end), y + 3, f"{css}-line")
    tip = f"{css}: {interval.value:.3f} [{interval.low:.3f}, {interval.high:.3f}]"
    canvas.dot(place(interval.value), y, 5, css, tip)


def _floor(value: float) -> float:
    return max(0.0, int(value * 10) / 10)


def _ceil(value: float) -> float:
    return min(1.0, (int(value * 10 - 1e-9) + 1) / 10)
