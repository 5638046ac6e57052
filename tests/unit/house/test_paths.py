"""Every path, link and dotted name in the documents exists."""

from __future__ import annotations

import ast
import importlib
import re
from functools import cache
from pathlib import Path

import pytest
from tests.rigs.house import ROOT, committed, modules, tree

from ragwheel.schemas.tables import ALL_TABLES
from ragwheel.schemas.topics import TOPICS

DOCUMENTS = sorted(
    name
    for name in committed()
    if name in ("README.md", "CONTRIBUTING.md", "SECURITY.md") or re.fullmatch(r"docs/.*\.md", name)
)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_DOTTED = re.compile(r"\bragwheel(?:\.[A-Za-z_]\w*)+")
#: A path in code marks: it has a slash or a suffix of ours, and no blank, wildcard or variable.
_PATH = re.compile(r"`([\w.-]+(?:/[\w.-]+)*/?)`")
_SUFFIXES = (".py", ".md", ".sql", ".json", ".yml", ".toml", ".lock", ".txt", ".sh", ".html")
#: Files and folders that come to be when something runs, on the user's machine.
MADE_LATER = {
    "report.html", "result.json", "report.json", "state.json", "manifest.json", "registry.json",
    ".ragwheel", ".venv", "logs", "segments.toml",
}  # fmt: skip
#: Documents of other projects that ours compare with.
OF_OTHERS = {
    "spec/semantic_conventions.md",
    "docs/gen-ai/gen-ai-spans.md",
    "config_sentence_transformers.json",
    "router/src/lib.rs",
}


@cache
def _places() -> frozenset[str]:
    """Every file and folder, and every tail of its path that starts at a folder."""
    found: set[str] = set()
    for name in committed():
        parts = Path(name).parts
        for end in range(1, len(parts) + 1):
            found.update("/".join(parts[start:end]) for start in range(end))
    return frozenset(found)


def _headings(text: str) -> set[str]:
    """Anchors as GitHub makes them."""
    lines = re.findall(r"^#+ (.*)", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", line.lower()).strip().replace(" ", "-") for line in lines}


@cache
def _told() -> frozenset[str]:
    """Names that are no modules: physical topics, tables with their database, and texts of the
    product such as headers.
    """
    texts = {
        node.value.removesuffix(".")  # a prefix of names
        for path in modules().values()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    tables = {"schema_migrations", *(table.name for table in ALL_TABLES)}
    named = {*TOPICS, *tables, *(f"v_{name}" for name in tables)}
    return frozenset(texts | {f"ragwheel.{name}" for name in named})


def _exists(dotted: str) -> bool:
    """Whether a name leads to a module or to something in one."""
    parts = dotted.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for name in parts[length:]:
            if not hasattr(found, name):
                return False
            found = getattr(found, name)
        return True
    return False


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_relative_link_leads_somewhere(document: str) -> None:
    path = ROOT / document
    broken = []
    for link in _LINK.findall(path.read_text("utf-8")):
        if re.match(r"[a-z]+:", link):
            continue
        target, _, anchor = link.partition("#")
        file = (path.parent / target) if target else path
        if not file.exists() or (anchor and anchor not in _headings(file.read_text("utf-8"))):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_named_path_exists(document: str) -> None:
    missing = set()
    for found in _PATH.findall((ROOT / document).read_text("utf-8")):
        name = found.rstrip("/")
        is_path = found.endswith("/") or name.endswith(_SUFFIXES) or name.count("/") > 1
        if is_path and name not in {*_SUFFIXES, *MADE_LATER, *OF_OTHERS, *_places()}:
            missing.add(found)
    assert missing == set()


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_named_module_exists(document: str) -> None:
    text = (ROOT / document).read_text("utf-8")
    missing = {name for name in _DOTTED.findall(text) if name not in _told() and not _exists(name)}
    if "import ragwheel.client as ragwheel" in text:
        missing = {name for name in missing if not _exists(f"ragwheel.client.{name[9:]}")}
    assert missing == set()
