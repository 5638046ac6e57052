"""The tables that a run ends with, for the terminal. Pure: a result in, what to print out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from ragwheel.demo.outcome import Comparison, DemoResult, overall
from ragwheel.demo.report.cells import account_table, label_table, served_table


def summary(result: DemoResult) -> Iterator[RenderableType]:
    """Accounts, labels, quality, the verdict in words."""
    yield from _table("Events", *account_table(result))
    counts: Counter[str] = Counter()
    for one in result.dead_letters:
        counts[one.reason] += one.count
    reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(counts.items()))
    if reasons:
        yield f"  dead letters, sent on purpose: {reasons}"
    yield ""
    yield from _table("Labels", *label_table(result))
    if result.verdict is not None:
        yield f"  triplets trained on: {result.verdict.triplets:,}"
    yield ""
    if result.judged:
        yield from _quality(result)
    yield ""
    if result.served is not None:
        yield from _table(*served_table(result.served), words=3)
        yield ""
    yield from _verdict(result)


def _table(
    title: str, head: Sequence[str], rows: Sequence[Sequence[str]], words: int = 1
) -> Iterator[RenderableType]:
    """The title, then columns of text, then columns of figures.

    Args:
        words: how many leading columns are text.
    """
    yield Text(title, "bold")
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, collapse_padding=True)
    for number, name in enumerate(head):
        table.add_column(name, justify="left" if number < words else "right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    yield table


def _quality(result: DemoResult) -> Iterator[RenderableType]:
    yield from _table(
        "Quality on held-out questions, before → after with 95 % intervals "
        "(true: by what the demo knows)",
        ("segment", "metric", "before", "after", "difference", "relative", "queries", "true"),
        [
            (
                row.group,
                row.name,
                f"{row.before:.3f}",
                f"{row.after:.3f}",
                f"{row.delta:+.3f}",
                f"{row.relative:+.1%}",
                f"{row.queries:,}",
                _short(result.true(row)),
            )
            for row in result.judged
        ],
        words=2,
    )
    if result.prometheus is not None:
        before, after = result.prometheus
        yield f"  Prometheus, from the trainer's /metrics: recall@10 {before:.3f} → {after:.3f}"


def _verdict(result: DemoResult) -> Iterator[RenderableType]:
    if result.verdict is not None:
        style = "bold green" if result.verdict.action == "promoted" else "bold"
        yield Text(f"Verdict: {result.verdict.action}. {result.verdict.reason}", style)
    truth = overall(result.truth)
    if truth is not None:
        yield (
            f"True recall@10 over {truth.queries:,} held-out questions, whose functions were never "
            f"trained on: {_short(truth)} ({truth.relative:+.1%})."
        )
    yield result.grader
    yield from (Text(f"✗ {problem}", "red") for problem in result.problems)


def _short(row: Comparison | None) -> str:
    return f"{row.before.value:.3f} → {row.after.value:.3f}" if row else ""
