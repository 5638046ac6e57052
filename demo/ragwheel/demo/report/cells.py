"""Tables that the terminal and the page share, as text: a head and rows. Pure."""

from __future__ import annotations

from ragwheel.demo.outcome import DemoResult, RankedChunk, ServedSearch
from ragwheel.demo.report.ranks import clipped

Cells = tuple[str, ...]


def account_table(result: DemoResult) -> tuple[Cells, list[Cells]]:
    """What became of every message, per topic."""
    head = ("topic", "sent", "produced", "landed", "dead-lettered", "in flight", "unaccounted")
    return head, [
        (
            row.topic,
            f"{result.sent[row.topic]:,}" if row.topic in result.sent else "",
            f"{row.produced:,}",
            f"{row.landed:,}",
            f"{row.dead_lettered:,}",
            f"{row.in_flight:,}",
            f"{row.unaccounted:,}",
        )
        for row in result.accounts
    ]


def label_table(result: DemoResult) -> tuple[Cells, list[Cells]]:
    """Statuses, grades and cost, per role."""
    statuses = sorted({status for one in result.labels for status in one.by_status})
    grades = ("grade 0", "1", "2", "3")
    return ("role", *statuses, *grades, "not paid again", "cost (demo price)", "per second"), [
        (
            one.role,
            *(f"{one.by_status.get(status, 0):,}" for status in statuses),
            *(f"{one.by_grade.get(grade, 0):,}" for grade in range(len(grades))),
            f"{one.cached_pairs:,}",
            f"${one.cost_usd:.2f}",
            f"{one.total / one.seconds:,.0f}" if one.seconds else "",
        )
        for one in result.labels
    ]


def served_table(served: ServedSearch) -> tuple[str, Cells, list[Cells]]:
    """The first results with the base model's vector and with the server's; ✓ is the right one."""

    def shown(one: RankedChunk) -> str:
        return f"{'✓' if one.right else ' '} {one.score:.3f}  {one.chunk_id}"

    title = f"Asked over HTTP: {clipped(served.query, 80)!r}; {served.in_words}"
    pairs = enumerate(zip(served.before, served.after, strict=True), 1)
    return (
        title,
        ("rank", "before", "after"),
        [(str(rank), shown(before), shown(after)) for rank, (before, after) in pairs],
    )
