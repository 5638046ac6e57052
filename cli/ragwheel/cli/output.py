"""Where words go: results to standard output, messages to standard error.

On a terminal a result has colours (unless NO_COLOR is set) and fits its width. Anywhere else it is
plain, a row of a table is one line however long it is, and no line ends in blanks.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TextIO, TypeVar

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

T = TypeVar("T")
#: Columns of what is no terminal: wide enough for any row.
_UNBOUNDED = 1_000_000


def console(file: TextIO) -> Console:
    """A console that takes text as it is: square brackets and colons mean nothing."""
    return _Console(
        file=file,
        width=None if file.isatty() else _UNBOUNDED,
        markup=False,
        emoji=False,
        highlight=False,
    )


class _Console(Console):
    """Leaves it to the caller what a reader that is gone means; rich would end the process."""

    def on_broken_pipe(self) -> None:
        raise  # the BrokenPipeError that is being handled


def show(*parts: RenderableType) -> None:
    """Print a result.

    Raises:
        BrokenPipeError: nobody reads it.
    """
    out = console(sys.stdout)
    with out.capture() as captured:
        for part in parts:
            out.print(part)
    text = captured.get()
    if not sys.stdout.isatty():
        text = "".join(f"{line.rstrip()}\n" for line in text.splitlines())
    print(text, end="", flush=True)


def report(value: T, view: str | Callable[[T], RenderableType], *, as_json: bool) -> None:
    """Print a dataclass by its view, or as one JSON object of json/<command>.schema.json.

    Args:
        view: what is made of `value` for people, or a text that already was.
    """
    from pydantic import TypeAdapter

    if as_json:
        print(TypeAdapter(type(value)).dump_json(value, indent=2).decode(), flush=True)
    else:
        show(view if isinstance(view, str) else view(value))


def tell(message: str) -> None:
    """Say something that is no result: progress, a notice."""
    print(message, file=sys.stderr, flush=True)


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> Table:
    """An indented table without lines.

    Numbers (None, a dash, among them) and what `right` made stand to the right; integers get
    thousands separators. A `Text` keeps its style.
    """
    made = Table(box=None, header_style="dim", padding=(0, 0, 0, 2), pad_edge=True)
    for index, title in enumerate(header):
        numbers = bool(rows) and all(_stands_right(row[index]) for row in rows)
        made.add_column(title, justify="right" if numbers else "left", overflow="fold")
    for row in rows:
        made.add_row(*map(_cell, row))
    return made


def right(text: object, style: str = "") -> Text:
    """A cell that stands to the right, like a number."""
    return Text(str(text), style, justify="right")


def _stands_right(value: object) -> bool:
    return isinstance(value, int | float | None) or getattr(value, "justify", None) == "right"


def _cell(value: object) -> RenderableType:
    if value is None:
        return "-"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.4g}"
    return value if isinstance(value, Text) else str(value)
