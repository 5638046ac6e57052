"""`ragwheel doctor`: each finding when it is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table
from rich.text import Text

from ragwheel.operations.doctor import Finding

_STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


@dataclass(frozen=True, slots=True)
class Examination:
    """All that was found."""

    findings: Sequence[Finding]

    def count(self, level: str) -> int:
        """How many findings are ok, warn or fail."""
        return sum(finding.level == level for finding in self.findings)


def row(finding: Finding) -> Table:
    """One finding, with what to do below it."""
    made = Table.grid(padding=(0, 2, 0, 0))
    made.add_column(width=4)
    made.add_column(width=20)
    made.add_column(overflow="fold")
    made.add_row(Text(finding.level, _STYLES[finding.level]), finding.subject, finding.detail)
    if finding.fix:
        made.add_row("", "", Text(f"→ {finding.fix}", "bold"))
    return made


def summary(found: Examination) -> str:
    """The last line."""
    ok, warnings, failures = map(found.count, ("ok", "warn", "fail"))
    return f"{ok} ok, {warnings} warnings, {failures} failures"
