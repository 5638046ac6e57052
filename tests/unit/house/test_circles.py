"""No module needs, to be imported, a module that needs it."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping

import pytest
from tests.rigs.house import modules, tree


def imported_at_once(body: Iterable[ast.stmt]) -> Iterator[str]:
    """Names that a module's own statements import; not those of functions, nor for types alone."""
    for node in body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from imported_at_once(node.orelse)
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for name in ("body", "orelse", "finalbody"):
                yield from imported_at_once(getattr(node, name, ()))
            for handler in getattr(node, "handlers", ()):
                yield from imported_at_once(handler.body)


def arrows() -> dict[str, set[str]]:
    """Module → modules of ours that it imports."""
    known = modules()
    found = {}
    for name, path in known.items():
        wanted = set(imported_at_once(tree(path).body))
        # `from package import thing`: the thing is a module, or something in the package.
        targets = {each if each in known else each.rpartition(".")[0] for each in wanted}
        found[name] = (targets & known.keys()) - {name}
    return found


def circles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """What remains when all modules are taken away that import nothing that remains."""
    left = {name: set(targets) for name, targets in graph.items()}
    while free := {name for name, targets in left.items() if not targets & left.keys()}:
        for name in free:
            del left[name]
    found = []
    for name in sorted(left):
        if name in (reached := _reached(left, name)):
            circle = sorted(each for each in reached if name in _reached(left, each))
            if circle not in found:
                found.append(circle)
    return found


def _reached(graph: Mapping[str, set[str]], start: str) -> set[str]:
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        for target in graph.get(waiting.pop(), set()) - seen:
            seen.add(target)
            waiting.append(target)
    return seen


def test_no_circle_of_modules() -> None:
    assert circles(arrows()) == []


@pytest.mark.parametrize(
    ("graph", "found"),
    [
        ({"a": {"b"}, "b": {"c"}, "c": set()}, []),
        ({"a": {"b"}, "b": {"c"}, "c": {"b"}}, [["b", "c"]]),
        ({"a": {"b"}, "b": {"a"}, "c": {"d"}, "d": {"c", "a"}}, [["a", "b"], ["c", "d"]]),
    ],
)
def test_circles_are_found(graph: dict[str, set[str]], found: list[list[str]]) -> None:
    assert circles(graph) == found


def test_imports_for_types_alone_and_in_functions_make_no_arrow() -> None:
    code = (
        "import one\nif TYPE_CHECKING:\n    import two\nelse:\n    import three\n"
        "try:\n    from four import a\nexcept ImportError:\n    import five\n"
        "def late():\n    import six\nclass Body:\n    import seven\n"
    )
    assert list(imported_at_once(ast.parse(code).body)) == [
        "one", "three", "four.a", "five", "seven",
    ]  # fmt: skip
