"""`ragwheel doctor`: each finding when it is made, and the count at the end."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from ragwheel.cli.reports import Examination
from ragwheel.operations.doctor import Finding

_STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def line(finding: Finding) -> Table:
    """One finding, with what to do below it."""
    row = Table.grid(padding=(0, 2, 0, 0))
    row.add_column(width=4)
    row.add_column(width=20)
    row.add_column(overflow="fold")
    row.add_row(Text(finding.level, _STYLES[finding.level]), finding.subject, finding.detail)
    if finding.fix:
        row.add_row("", "", Text(f"→ {finding.fix}", "bold"))
    return row


def count(report: Examination) -> str:
    """The last line."""
    return f"{report.ok} ok, {report.warnings} warnings, {report.failures} failures"
