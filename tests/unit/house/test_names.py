"""One word, one thing: names of types and files, and the words of the texts."""

from __future__ import annotations

import ast
import re
from collections import defaultdict

from tests.rigs.house import ROOT, committed, modules, tree

#: File names that say a role, which several rooms have.
ROLES = {
    "__init__.py", "__main__.py", "process.py", "app.py", "store.py", "gauges.py", "contracts.py",
}  # fmt: skip
#: A command's file has the name that people type, whatever it calls; a view that of the operation
#: whose result it shows.
_CLI = ROOT / "cli/ragwheel/cli"
_OPERATIONS = ROOT / "cli/ragwheel/operations"
#: Words that plain ones replaced: "repair" or "fix", and "accounts".
OLD_WORDS = re.compile(r"\b(mend(s|ed|ing)?|books?)\b", re.IGNORECASE)
_TEXTS = (".py", ".md", ".sql", ".sh", ".toml", ".yml", ".yaml", ".json", ".properties", "Makefile")


def type_names(node: ast.stmt) -> list[str]:
    """Names of classes and type aliases that a statement of a module defines."""
    if isinstance(node, ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.Assign) and len(node.targets) == 1:
        target = node.targets[0]
        is_alias = isinstance(node.value, ast.Subscript | ast.BinOp | ast.Name | ast.Attribute)
        if isinstance(target, ast.Name) and re.match("[A-Z][a-z]", target.id) and is_alias:
            return [target.id]
    return []


def test_no_type_name_means_two_things() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for module, path in modules().items():
        for node in tree(path).body:
            for name in type_names(node):
                places[name].append(module)
    twice = [f"{name}: {', '.join(found)}" for name, found in places.items() if len(found) > 1]
    assert not twice, "\n" + "\n".join(twice)


def test_no_file_name_means_two_things() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for path in modules().values():
        is_face = path.parent == _CLI / "commands" or (
            path.parent == _CLI / "views" and (_OPERATIONS / path.name).exists()
        )
        if path.name not in ROLES and not is_face:
            places[path.name].append(str(path.relative_to(ROOT)))
    twice = [f"{name}: {', '.join(found)}" for name, found in places.items() if len(found) > 1]
    assert not twice, "\n" + "\n".join(twice)


def test_texts_use_plain_words() -> None:
    found = [
        f"{name}:{number}: {line.strip()}"
        for name in committed()
        if name.endswith(_TEXTS) and not name.endswith("house/test_names.py")
        for number, line in enumerate((ROOT / name).read_text("utf-8").splitlines(), start=1)
        if OLD_WORDS.search(line.replace("_", " "))
    ]
    assert not found, "\n" + "\n".join(found)
