"""What people see of grading a file."""

from __future__ import annotations

from rich.console import RenderableType
from rich.text import Text

from ragwheel.grading.offline.file_grading import GradePlan, GradeReport


def planned_calls(found: GradePlan) -> RenderableType:
    """Every prompt as it would be sent, then the sum."""
    parts = []
    for number, call in enumerate(found.calls, start=1):
        parts.append(
            f"── call {number} of {len(found.calls)}: {call.passages} passages, about "
            f"{call.input_tokens:,} tokens ──\n{call.system}\n{call.user}\n"
        )
    cost = "no price is known" if found.cost_usd is None else f"{found.cost_usd:.4f} USD"
    parts.append(
        f"{found.queries:,} queries, {len(found.calls):,} calls of {found.model}, about "
        f"{found.input_tokens:,} tokens in and {found.output_tokens:,} out: {cost}. Nobody was "
        "called."
    )
    return Text("\n".join(parts))


def file_grades(found: GradeReport) -> RenderableType:
    """One line of counts."""
    pairs = ", ".join(f"{count:,} {status}" for status, count in sorted(found.pairs.items()))
    left = "" if found.complete else "; run it again for the rest"
    return Text(
        f"{found.queries:,} queries by {found.model}: {pairs or 'no pairs'}, {found.reused:,} of "
        f"them known before; {found.cost_usd:.4f} USD; {found.to}{left}"
    )
