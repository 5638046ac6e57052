"""Plots of where the right chunk stands: the recall curve, the scatter, the examples. Pure."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

from ragwheel.demo.report.svg import Canvas
from ragwheel.demo.result import RankShift

_WIDTH = 920.0
_TICKS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000)
_CURVE_DEPTH = 100


def recall_curve(shifts: Sequence[RankShift]) -> str:
    """Share of questions whose answer is among the first k, for each k."""
    left, top, width, height = 60.0, 16.0, 800.0, 260.0
    canvas = Canvas(_WIDTH, top + height + 48, "Recall at k, before and after")

    def place(k: float, share: float) -> tuple[float, float]:
        return left + width * math.log(k) / math.log(_CURVE_DEPTH), top + height * (1 - share)

    for tick in (t for t in _TICKS if t <= _CURVE_DEPTH):
        x, _ = place(tick, 0)
        canvas.line(x, top, x, top + height, "grid")
        canvas.text(x, top + height + 20, str(tick), "small", anchor="middle")
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        _, y = place(1, share)
        canvas.line(left, y, left + width, y, "grid")
        canvas.text(left - 10, y + 4, f"{share:.0%}", "small", anchor="end")
    canvas.text(left + width / 2, top + height + 42, "k, first results", "small", anchor="middle")
    total = len(shifts) or 1
    for css, ranks in (
        ("before-line", [shift.before for shift in shifts]),
        ("after-line", [shift.after for shift in shifts]),
    ):
        canvas.path(
            [
                place(k, sum(rank <= k for rank in ranks) / total)
                for k in range(1, _CURVE_DEPTH + 1)
            ],
            css,
        )
    before = sum(shift.before <= 10 for shift in shifts) / total
    after = sum(shift.after <= 10 for shift in shifts) / total
    for css, share, dy in (("after", after, -14), ("before", before, 24)):
        x, y = place(10, share)
        canvas.dot(x, y, 4.5, css)
        anchor, away = ("end", -8) if css == "after" else ("start", 8)
        canvas.text(
            x + away, y + dy, f"{css}: {share:.1%} at 10", f"figure {css}-text", anchor=anchor
        )
    return canvas.render()


def shift_scatter(shifts: Sequence[RankShift], chunks: int) -> str:
    """One point per question: rank before (across) and after (up is better)."""
    left, top, size = 60.0, 16.0, 400.0
    canvas = Canvas(_WIDTH / 2 + 60, top + size + 48, "Rank of the right chunk, before and after")
    deepest = math.log(max(chunks, 2))

    def place(rank: float) -> float:
        return size * math.log(max(rank, 1)) / deepest

    for tick in (t for t in _TICKS if t <= chunks):
        at = place(tick)
        css = "mark" if tick == 10 else "grid"
        canvas.line(left + at, top, left + at, top + size, css)
        canvas.line(left, top + at, left + size, top + at, css)
        if tick in (1, 10, 100, 1_000, 10_000):
            canvas.text(left + at, top + size + 20, f"{tick:,}", "small", anchor="middle")
            canvas.text(left - 10, top + at + 4, f"{tick:,}", "small", anchor="end")
    canvas.line(left, top, left + size, top + size, "axis")
    canvas.text(left + size / 2, top + size + 42, "rank before", "small", anchor="middle")
    canvas.text(left + 6, top + size - 8, "↑ rank after, the top is best", "small")
    # Equal ranks would hide each other; the jitter is smaller than the step from rank 1 to 2.
    jitter = random.Random(0)
    for shift in shifts:
        css = "worse" if shift.after > shift.before else "better"
        css = "same" if shift.after == shift.before else css
        canvas.dot(
            left + place(shift.before * jitter.uniform(0.9, 1.1)),
            top + place(shift.after * jitter.uniform(0.9, 1.1)),
            2.6,
            f"point {css}",
            f"{shift.query}\n{shift.chunk_id}: {shift.before} → {shift.after}",
        )
    return canvas.render()


def examples_plot(shifts: Sequence[RankShift]) -> str:
    """One row per question: an arrow from the rank before to the rank after."""
    left, row, span = 560.0, 50.0, 300.0
    deepest = math.log(max([50, *(max(s.before, s.after) for s in shifts)]))
    height = row * len(shifts) + 34
    canvas = Canvas(_WIDTH, height, "Examples of ranks before and after")

    def place(rank: int) -> float:
        return left + span * (1 - math.log(rank) / deepest)

    for tick in (1, 5, 10, 20, 50, 100, 200):
        if math.log(tick) <= deepest:
            canvas.line(place(tick), 0, place(tick), height - 26, "grid")
            canvas.text(place(tick), height - 8, str(tick), "small", anchor="middle")
    for index, shift in enumerate(shifts):
        y = row * index + 20
        canvas.text(0, y, clipped(shift.query, 76), "label")
        canvas.text(0, y + 17, clipped(shift.chunk_id, 80), "small mono")
        better = shift.after <= shift.before
        css = "better-line" if better else "worse-line"
        canvas.arrow(place(shift.before), place(shift.after), y + 3, css)
        canvas.dot(place(shift.before), y + 3, 4, "before")
        side, away = ("end", -10) if better else ("start", 10)
        canvas.text(place(shift.before) + away, y + 7, str(shift.before), "small", anchor=side)
        side, away = ("start", 8) if better else ("end", -8)
        css = "figure after-text" if better else "figure worse-text"
        canvas.text(place(shift.after) + away, y + 7, str(shift.after), css, anchor=side)
    return canvas.render()


def pick_examples(shifts: Sequence[RankShift], gains: int = 8, losses: int = 2) -> list[RankShift]:
    """Gains that a user would notice, and the worst losses, so that nobody is fooled.

    A gain counts when the chunk enters the first five from a place that people do not scroll to;
    those nearest to "was at 20, is at 5 or better" come first, spread over segments.
    """

    def appeal(shift: RankShift) -> tuple[float, str]:
        return abs(math.log(shift.before / 20)) + 0.1 * shift.after, shift.chunk_id

    noticed = sorted((s for s in shifts if s.before > 10 and s.after <= 5), key=appeal)
    chosen: list[RankShift] = []
    per_segment: dict[str, int] = {}
    most = 1
    while len(chosen) < min(gains, len(noticed)):
        for shift in noticed:
            if shift not in chosen and per_segment.get(shift.segment, 0) < most:
                per_segment[shift.segment] = per_segment.get(shift.segment, 0) + 1
                chosen.append(shift)
                if len(chosen) == gains:
                    break
        most += 1
    lost = sorted(
        (s for s in shifts if s.before <= 10 and s.after > 10),
        key=lambda s: (s.before / s.after, s.chunk_id),
    )
    return sorted(chosen, key=lambda s: -s.before / s.after) + lost[:losses]


def clipped(text: str, limit: int) -> str:
    """`text`, or its beginning with an ellipsis; white space collapsed."""
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"
