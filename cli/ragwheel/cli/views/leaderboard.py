"""`ragwheel leaderboard`: one table per segment, the best system first."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from ragwheel.cli.output import right, table
from ragwheel.operations.leaderboard import Leaderboard

_ORDER = ("recall", 10)
_DELTA = "delta"


def tables(board: Leaderboard) -> RenderableType:
    """Systems by their recall@10 with 95 % intervals; below, differences to the incumbent."""
    parts: list[RenderableType] = []
    for segment in dict.fromkeys(each.segment for each in board.figures):
        figures = [each for each in board.figures if each.segment == segment]
        measures = list(dict.fromkeys((each.metric, each.k) for each in figures))
        cells = {(each.system, each.metric, each.k): each.interval for each in figures}
        systems = list(dict.fromkeys(each.system for each in figures))
        systems.sort(key=lambda name: _place(name, cells.get((name, *_ORDER))))
        header = ("system", *(f"{name}@{k}" for name, k in measures))
        rows = [
            (name, *(_cell(cells.get((name, *measure)), name) for measure in measures))
            for name in systems
        ]
        parts += [Text(f"{segment} ({max(each.queries for each in figures):,} queries)", "bold")]
        parts += [table(header, rows), ""]
    return Group(*parts, Text("recall is pooled: compare within this gate only", "dim"))


def _place(name: str, interval: object) -> tuple[bool, float, str]:
    value = getattr(interval, "value", 0.0)
    return name.startswith(_DELTA), -value, name


def _cell(interval: object, system: str) -> Text:
    if interval is None:
        return right("-")
    return right(format(interval, "+.3f" if system.startswith(_DELTA) else ".3f"))
