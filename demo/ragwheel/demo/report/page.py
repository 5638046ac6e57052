"""The report of a demo run: one HTML file that needs nothing else. Pure: a result in, text out.

Words and layout are in `page.html`, the plots in `plots.html`, colours in `style.css`.
"""

from __future__ import annotations

import math
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ragwheel.demo.outcome import DECISIVE, Comparison, DemoResult, LabelSummary, overall
from ragwheel.demo.report.cells import account_table, label_table, served_table
from ragwheel.demo.report.ranks import clipped, jittered, pick_examples
from ragwheel.measuring.intervals import Interval

_ACTIONS = {
    "promoted": "the new model was promoted",
    "shadow": "the new model runs in shadow",
    "refused": "the new model was refused",
}


def html_report(result: DemoResult) -> str:
    """The whole page."""
    folder = Path(__file__).parent
    environment = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters |= {
        "thousands": "{:,}".format,
        "px": "{:.1f}".format,
        "three": "{:.3f}".format,
        "signed": "{:+.3f}".format,
        "percent": "{:+.1%}".format,
        "clipped": clipped,
    }
    environment.globals |= {"log": math.log, "bounds": _bounds}
    return environment.get_template("page.html").render(
        result=result,
        style=(folder / "style.css").read_text("utf-8"),
        headline=_headline(result),
        truth=overall(result.truth),
        decisive=[row for row in result.judged if (row.metric, row.k) == DECISIVE],
        tables=[
            [_quality_cells(result, row) for row in result.judged if (row.group == "all") == whole]
            for whole in (True, False)
        ],
        rose=sum(shift.after < shift.before for shift in result.shifts),
        fell=sum(shift.after > shift.before for shift in result.shifts),
        accounts=account_table(result),
        dead_letters=[
            (one.topic, one.reason, f"{one.count:,}", clipped(one.detail, 110))
            for one in result.dead_letters
        ],
        labels=label_table(result),
        served=served_table(result.served) if result.served else None,
        grades=_grades,
        steps=[
            (step, 85 * sum(each.seconds for each in result.steps[:at]) / (result.seconds or 1))
            for at, step in enumerate(result.steps)
        ],
        examples=pick_examples(result.shifts),
        points=jittered(result.shifts),
    )


def _headline(result: DemoResult) -> str:
    judged = overall(result.judged)
    if result.verdict is None or judged is None:
        return "The run did not reach a verdict."
    return (
        f"Recall@10 on held-out questions: {judged.before.value:.3f} → {judged.after.value:.3f} "
        f"({judged.relative:+.1%}); {_ACTIONS.get(result.verdict.action, result.verdict.action)}."
    )


def _quality_cells(result: DemoResult, row: Comparison) -> list[str]:
    true = result.true(row)
    return [
        row.group,
        row.name,
        *(_plus_minus(one) for one in (row.before, row.after)),
        _plus_minus(row.delta, "+"),
        f"{row.relative:+.1%}",
        *([_plus_minus(one) for one in (true.before, true.after)] if true else ["", ""]),
        _plus_minus(true.delta, "+") if true else "",
    ]


def _grades(summary: LabelSummary) -> list[tuple[str, int]]:
    """(CSS class, labels) per grade, and of those without one."""
    counts = [(f"g{grade}", count) for grade, count in sorted(summary.by_grade.items())]
    return [*counts, ("none", summary.total - sum(summary.by_grade.values()))]


def _plus_minus(one: Interval, sign: str = "") -> str:
    """The value and half the width of its interval: what a table has room for."""
    return f"{one.value:{sign}.3f} ± {(one.high - one.low) / 2:.3f}"


def _bounds(rows: list[Comparison]) -> tuple[int, int]:
    """The tenths between which all intervals lie."""
    intervals = [one for row in rows for one in (row.before, row.after)]
    low = math.floor(10 * min(one.low for one in intervals))
    return max(0, low), min(10, math.ceil(10 * max(one.high for one in intervals)))
