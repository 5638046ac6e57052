"""Plain text tables for the terminal. Pure."""

from __future__ import annotations

from collections.abc import Sequence


def text_table(
    head: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1, indent: str = "  "
) -> str:
    """Columns as wide as their widest cell.

    Args:
        left: how many leading columns are text (aligned left); the others are figures.
    """
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        aligned = (
            cell.ljust(width) if column < left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        return (indent + "  ".join(aligned)).rstrip()

    rule = indent + "  ".join("─" * width for width in widths)
    return "\n".join([line(head), rule, *map(line, rows)])
