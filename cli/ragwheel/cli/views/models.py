"""`ragwheel models` as a table, and what serves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.text import Text

from ragwheel.cli.output import right, table
from ragwheel.operations.models import PrunedModels, RegistryLine


@dataclass(frozen=True, slots=True)
class Models:
    """All models, the latest verdict first; with nothing `serving`, the base model serves."""

    model_dir: str
    base_model: str
    serving: str | None
    models: Sequence[RegistryLine]


def tables(report: Models) -> RenderableType:
    """One line per model, the latest verdict first."""
    serving = report.serving or f"the base model ({report.base_model})"
    if not report.models:
        return f"no model in {report.model_dir} yet; {serving} serves"
    rows = [
        (
            Text("*", "green") if line.serving else "",
            line.model_id,
            line.verdict or "no verdict",
            right("-" if line.gain is None else f"{line.gain:+.3f}"),
            line.at[:16].replace("T", " "),
            line.reason,
        )
        for line in report.models
    ]
    header = ("", "model", "verdict", "recall@10", "decided (UTC)", "reason")
    return Group(table(header, rows), "", f"serving: {serving}")


def pruned(report: PrunedModels) -> str:
    """What went, or would go."""
    verb = "would remove" if report.dry_run else "removed"
    names = [*report.models, *report.vector_folders]
    head = f"{verb} {len(report.models)} models, {len(report.vector_folders)} folders of vectors"
    return "\n".join([head, *(f"  {name}" for name in names)])
