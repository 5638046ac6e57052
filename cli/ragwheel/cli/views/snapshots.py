"""Stored snapshots as a table, and what an export wrote."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType

from ragwheel.cli.output import table
from ragwheel.operations.exports.formats import Exported
from ragwheel.trainers.data.folder import SnapshotLine


@dataclass(frozen=True, slots=True)
class Snapshots:
    """All snapshots below a folder, by id."""

    folder: str
    snapshots: Sequence[SnapshotLine]


def tables(report: Snapshots) -> RenderableType:
    """One line per snapshot."""
    if not report.snapshots:
        return f"no snapshot in {report.folder} yet; `ragwheel train` takes one"
    header = ("snapshot", "queries", "examples", "grades", "chunks", "base model")
    rows = [
        (each.snapshot_id, each.queries, each.examples, each.grades, each.chunks, each.base_model)
        for each in report.snapshots
    ]
    return table(header, rows)


def exported(report: Exported) -> RenderableType:
    """The files."""
    rows = [(name, size) for name, size in report.files.items()]
    return Group(
        f"snapshot {report.snapshot_id} as {report.format} in {report.folder}", "",
        table(("file", "bytes"), rows),
    )  # fmt: skip
