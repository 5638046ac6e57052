"""What people see of rubrics."""

from __future__ import annotations

from rich.console import RenderableType
from rich.text import Text

from ragwheel.cli.output import table
from ragwheel.operations.rubrics import RubricCheck, RubricDiff, RubricList


def rubric_table(found: RubricList) -> RenderableType:
    """A row per segment; a dash where a rubric grades none."""
    rows = [(each.segment or "-", each.version, each.source) for each in found.lines]
    return table(("segment", "rubric@version", "source"), rows)


def rubric_findings(found: RubricCheck) -> RenderableType:
    """A line per file or mistake."""
    lines = []
    for each in found.files:
        lines += [f"{each.file}: {mistake}" for mistake in each.mistakes]
        if not each.mistakes:
            lines.append(f"{each.file}: good, {each.version}")
    return Text("\n".join([*lines, *filter(None, [found.together])]))


def rubric_changes(found: RubricDiff) -> RenderableType:
    """The words that differ, and what follows."""
    lines = []
    for each in found.changes:
        lines.append(f"{each.part}:")
        lines += [f"  - {each.removed}"] * bool(each.removed)
        lines += [f"  + {each.added}"] * bool(each.added)
    follows = (
        f"{found.one} and {found.other} are two grader epochs: no label of one is used for the "
        "other, and metrics do not mix them"
        if found.new_epoch
        else f"the same question: both are {found.one}"
    )
    return Text("\n".join([*lines, follows]))
