"""`ragwheel logs`: whose line it is, in a colour of its own."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from itertools import cycle

from rich.text import Text

from ragwheel.cli.output import console
from ragwheel.operations.logs import Line

_COLOURS = ("cyan", "green", "yellow", "magenta", "blue", "red")


def print_lines(lines: Iterable[Line], names: Sequence[str]) -> None:
    """Print lines as they come; of several processes with the name of each before it."""
    width = max(map(len, names))
    out = console(sys.stdout)
    before = {}
    for name, colour in zip(names, cycle(_COLOURS), strict=False):
        with out.capture() as captured:
            out.print(Text(f"{name:<{width}} │ ", colour), end="")
        before[name] = captured.get() if len(names) > 1 else ""
    for name, text in lines:
        print(f"{before[name]}{text}", flush=True)
