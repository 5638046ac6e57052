"""`ragwheel train status`: what the labels can prove today, and what is missing."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from ragwheel.cli.output import table
from ragwheel.operations.outlook import TrainOutlook
from ragwheel.trainers.proof.power import EFFECTS


def standing(found: TrainOutlook) -> RenderableType:
    """The outlook for a terminal."""
    lines = [f"{found.answered:,} queries have a relevant label"]
    lines.append(f"  now      {found.opened or 'nothing yet'}")
    if found.next_step:
        lines.append(f"  at {found.next_step.queries:>5,} {found.next_step.opens}")
    lines.append(f"  training {'is due' if found.due else 'is not due'}: {found.reason}")
    lines.append(f"  serving  {found.serving or 'the base model'}")
    if found.shadows:
        lines.append(f"  shadow   {', '.join(found.shadows)}")
    counts = ", ".join(f"{part} {count:,}" for part, count in found.queries.items())
    lines.append(f"  queries  {counts}")
    if found.evaluation:
        lines += ["\nEvaluation of what is in service:", *(f"  {e}" for e in found.evaluation)]
    if not found.parts:
        return Text("\n".join([*lines, "\nNo query is held out yet: nothing can be proven."]))
    rows = [
        [
            "all" if each.part == "*" else each.part,
            each.queries,
            f"{100 * each.detectable:.1f}",
            *(each.more_queries[effect] for effect in EFFECTS),
            each.missing_for_guard,
        ]
        for each in found.parts
    ]
    header = [
        "segment", "held out", "provable gain", *(f"for +{100 * e:.0f}" for e in EFFECTS), "guard"
    ]  # fmt: skip
    return Group(
        Text("\n".join(lines)),
        Text(
            f"\nThe next gate is look {found.look} of its series, at a level of {found.alpha:.2g}. "
            "Gains are points of\npooled recall@10, proven in 8 of 10 cases; the other columns are "
            "held-out queries that are\nmissing: for a gain of that size, and to exclude a loss of "
            "10 points in the segment."
        ),
        table(header, rows),
    )
