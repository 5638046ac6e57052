"""Rooms, modules and functions stay small enough to be grasped."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.rigs.house import ROOT, SOURCES, lines, modules, tree

#: No room may become half of the house.
LARGEST_SHARE = 0.2
#: A function that does not fit a screen is an exception, and rare.
SCREEN_LINES = 50
LONG_SHARE = 0.01


def body_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function's body without its docstring."""
    body = node.body[1:] if ast.get_docstring(node, clean=False) is not None else node.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def functions() -> Iterator[tuple[str, int]]:
    """Every function of the product, by place, with the lines of its body."""
    for path in modules().values():
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{path.relative_to(ROOT)}:{node.lineno} {node.name}", body_lines(node)


def test_no_room_holds_more_than_a_fifth_of_the_product() -> None:
    sizes = {
        room: sum(lines(path) for path in folder.rglob("*.py")) for room, folder in SOURCES.items()
    }
    total = sum(sizes.values())
    large = {room: f"{n / total:.0%}" for room, n in sizes.items() if n > LARGEST_SHARE * total}
    assert not large


def test_at_most_one_function_in_a_hundred_is_longer_than_a_screen() -> None:
    found = list(functions())
    long = [(place, size) for place, size in found if size > SCREEN_LINES]
    assert len(long) <= LONG_SHARE * len(found), long


def test_a_docstring_is_not_counted_as_work() -> None:
    code = 'def f():\n    """One\n    two.\n    """\n    a = 1\n    return a\n'
    (function,) = ast.parse(code).body
    assert isinstance(function, ast.FunctionDef)
    assert body_lines(function) == 2
