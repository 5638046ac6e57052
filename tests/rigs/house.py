"""The product's files as the tests of the house read them."""

from __future__ import annotations

import ast
import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
#: Room (first segment below `ragwheel`) → its folder. A room has one home.
SOURCES = {path.name: path for path in sorted(ROOT.glob("*/ragwheel/*")) if path.is_dir()}


@cache
def modules() -> dict[str, Path]:
    """Dotted name → file of every module; a package stands for its `__init__`."""
    found = {}
    for folder in SOURCES.values():
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder.parent.parent).with_suffix("").parts
            found[".".join(parts).removesuffix(".__init__")] = path
    return found


@cache
def tree(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(path.read_text("utf-8"))


@cache
def lines(path: Path) -> int:
    """Lines of a file."""
    return path.read_text("utf-8").count("\n")


@cache
def committed() -> tuple[str, ...]:
    """Files under version control and new ones, relative to the root; where git is missing, all."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode == 0:
        names = listed.stdout.splitlines()
    else:
        names = [str(path.relative_to(ROOT)) for path in ROOT.rglob("*")]
    return tuple(name for name in names if (ROOT / name).is_file())
