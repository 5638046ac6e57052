"""An image carries its own folders: all that its commands import, and no folder more."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest
from tests.rigs.packaging import IMAGES, ROOT, folders_of_image

from ragwheel.operations.workers import KINDS


def _name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts[1:]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {_name(path): path for path in ROOT.glob("*/ragwheel/**/*.py")}


def _statements(node: ast.AST, *, lazy: bool) -> Iterator[ast.Import | ast.ImportFrom]:
    """Imports that run: at once, and with `lazy` those inside functions too."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        elif lazy or not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _statements(child, lazy=lazy)


@cache
def _imports(module: str, *, lazy: bool) -> frozenset[str]:
    """Modules of ours that `module` imports, its packages included."""
    named = set()
    for statement in _statements(ast.parse(MODULES[module].read_text("utf-8")), lazy=lazy):
        if isinstance(statement, ast.Import):
            named |= {alias.name for alias in statement.names}
        elif statement.module:
            named |= {f"{statement.module}.{alias.name}" for alias in statement.names}
    every = {module, *named}
    every |= {".".join(name.split(".")[:depth]) for name in every for depth in range(2, 9)}
    return frozenset(every & MODULES.keys())


def _needed(entries: Iterable[str], commands: Iterable[str]) -> set[str]:
    """What `entries` import at last, lazily or not; of other commands only what `--help` loads."""
    followed = {f"ragwheel.cli.commands.{name}" for name in commands}
    waiting, seen = list(entries), set[str]()
    while waiting:
        module = waiting.pop()
        if module in seen:
            continue
        seen.add(module)
        other = module.startswith("ragwheel.cli.commands.") and module not in followed
        waiting += _imports(module, lazy=not other)
    return seen


@pytest.mark.parametrize("extra", IMAGES)
def test_an_image_copies_the_folders_that_its_commands_import_and_no_other(extra: str) -> None:
    workers = [kind.module for kind in KINDS.values() if kind.extra == extra]
    assert workers
    entries = ["ragwheel.cli.main", *(f"{module}.__main__" for module in workers)]
    needed = _needed(entries, IMAGES[extra])
    assert {MODULES[module].relative_to(ROOT).parts[0] for module in needed} == (
        folders_of_image(extra)
    )


def test_the_imports_are_followed_into_functions_and_packages() -> None:
    # The guard of the test above: a reader that finds nothing would prove nothing.
    assert "ragwheel.stack.processes.guardian" in _needed(["ragwheel.cli.commands.up"], ["up"])
    assert "ragwheel.stack" not in _needed(["ragwheel.cli.commands.up"], [])


@pytest.mark.parametrize("command", sorted({name for names in IMAGES.values() for name in names}))
def test_a_command_of_an_image_exists(command: str) -> None:
    assert f"ragwheel.cli.commands.{command}" in MODULES
