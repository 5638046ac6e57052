"""Plots of counts: the funnel, the grades, the time. Pure: values in, SVG out."""

from __future__ import annotations

from collections.abc import Sequence

from ragwheel.demo.report.svg import Canvas
from ragwheel.demo.result import LabelSummary, Step, TimedStep

_WIDTH = 920.0
_GRADE_WORDS = ("irrelevant", "related", "helpful", "answers it")


def funnel_plot(stages: Sequence[TimedStep]) -> str:
    """One bar per stage; a bar's length is what is left of the first stage."""
    left, top, row, span = 170.0, 8.0, 42.0, 480.0
    canvas = Canvas(_WIDTH, top + row * len(stages), "Funnel from searches to training")
    whole = max((stage.count for stage in stages), default=1) or 1
    for index, stage in enumerate(stages):
        y = top + row * index
        width = max(span * stage.count / whole, 1.5)
        canvas.text(left - 14, y + 19, stage.name, "label", anchor="end")
        canvas.rect(left, y, width, 28, "after", f"{stage.name}: {stage.count:,}")
        canvas.text(left + width + 10, y + 19, f"{stage.count:,}", "figure")
        if stage.note:
            offset = 18 + 9.0 * len(f"{stage.count:,}")
            canvas.text(left + width + offset, y + 19, stage.note, "small")
    return canvas.render()


def grades_plot(labels: Sequence[LabelSummary]) -> str:
    """One bar of 100 % per role, split by grade."""
    left, row, span = 130.0, 64.0, 760.0
    canvas = Canvas(_WIDTH, row * len(labels) + 30, "Distribution of grades")
    for index, summary in enumerate(labels):
        y = row * index
        name = {"label": "training labels", "judge": "judge's labels"}.get(summary.role, "labels")
        canvas.text(left - 14, y + 19, name, "label", anchor="end")
        graded = sum(summary.by_grade.values())
        parts = [(f"g{grade}", count) for grade, count in sorted(summary.by_grade.items())]
        parts.append(("none", summary.total - graded))
        x = left
        for css, count in parts:
            width = span * count / (summary.total or 1)
            share = f"{100 * count / (summary.total or 1):.1f} %"
            canvas.rect(x, y, max(width - 1, 0), 30, css, f"{count:,} labels, {share}")
            if width > 46:
                canvas.text(x + width / 2, y + 45, share, "small", anchor="middle")
            x += width
    x, y = left, row * len(labels) + 12
    for css, word in [*((f"g{g}", f"{g} {w}") for g, w in enumerate(_GRADE_WORDS)),
                      ("none", "no grade")]:  # fmt: skip
        canvas.rect(x, y - 10, 12, 12, css)
        canvas.text(x + 18, y, word, "small")
        x += 40 + 7.2 * len(word)
    return canvas.render()


def steps_plot(steps: Sequence[Step]) -> str:
    """When each step began and how long it took."""
    left, row, span = 190.0, 26.0, 620.0
    canvas = Canvas(_WIDTH, row * len(steps) + 6, "Duration of each step")
    whole = sum(step.seconds for step in steps) or 1.0
    began = 0.0
    for index, step in enumerate(steps):
        y = row * index
        canvas.text(left - 14, y + 15, step.name, "label", anchor="end")
        x = left + span * began / whole
        width = max(span * step.seconds / whole, 1.5)
        canvas.rect(x, y + 2, width, 18, "muted-fill", f"{step.name}: {step.seconds:.1f} s")
        canvas.text(x + width + 8, y + 15, f"{step.seconds:.1f} s", "small")
        began += step.seconds
    return canvas.render()
