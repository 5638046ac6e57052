"""The corpus every machine already has: the functions and classes of the Python standard library.

Each chunk is the source of one function or class with every docstring removed. The first sentence
of the removed docstring is a *question* whose answer is known: the chunk it was taken from. So a
retrieval experiment with true relevance needs no download, no licence and no annotator.

Files are parsed, never imported. The result depends on the interpreter's library only: same
Python, same chunks, in the same order.
"""

import ast
import re
import sysconfig
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

MAX_CHUNK_CHARS = 1_000
"""Longer sources are cut at a line end: an embedding model reads only their beginning anyway."""

DEFAULT_SEGMENT = "runtime"

_MIN_QUESTION_WORDS = 4
_MAX_QUESTION_CHARS = 200
_SENTENCE_END = re.compile(r"(?<=[.!?])\s")
_BOILERPLATE = re.compile(r"^(see|same as|like|ditto|alias|internal|deprecated|abstract)\b", re.I)
_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@dataclass(frozen=True, slots=True)
class CorpusChunk:
    """One function or class of the library.

    Attributes:
        chunk_id: ``module:qualname``, unique.
        text: Source without docstrings, dedented, at most `MAX_CHUNK_CHARS` characters.
        segment: Package family, as retrieval tasks are called; see `families`.
        question: First sentence of the chunk's own docstring; None when there is none, when it is
            too short to be a search, or when another chunk has the same one (no single answer).
    """

    chunk_id: str
    text: str
    segment: str
    question: str | None


@cache
def families() -> Mapping[str, str]:
    """Package family of each top-level module that has one; others are `DEFAULT_SEGMENT`."""
    return {
        name: family for family, names in _layout()["families"].items() for name in names.split()
    }


@cache
def _layout() -> Mapping[str, Any]:
    return tomllib.loads(Path(__file__).with_name("library.toml").read_text("utf-8"))


def load_corpus(root: Path | None = None) -> tuple[CorpusChunk, ...]:
    """Return all chunks under `root` (default: this interpreter's library), sorted by chunk id.

    Left out: files that do not parse, functions inside functions, bodies that do nothing (see
    `_is_filler`), undocumented ``__special__`` methods. Equal texts are kept once, the first by
    chunk id; a question shared by several chunks is dropped from all of them.
    """
    root = root or Path(sysconfig.get_paths()["stdlib"])
    found: dict[str, CorpusChunk] = {}
    for path in _source_files(root):
        for chunk in _chunks_of_file(path, root):
            found.setdefault(chunk.chunk_id, chunk)
    by_text: dict[str, CorpusChunk] = {}
    for chunk_id in sorted(found):
        by_text.setdefault(found[chunk_id].text, found[chunk_id])
    return _without_shared_questions(tuple(by_text.values()))


def _without_shared_questions(chunks: Sequence[CorpusChunk]) -> tuple[CorpusChunk, ...]:
    uses = Counter(chunk.question.casefold() for chunk in chunks if chunk.question is not None)
    return tuple(
        replace(chunk, question=None)
        if chunk.question is not None and uses[chunk.question.casefold()] > 1
        else chunk
        for chunk in chunks
    )


def _source_files(root: Path) -> Iterator[Path]:
    excluded = set(_layout()["excluded"].split())
    for path in sorted(root.rglob("*.py")):
        folders = path.relative_to(root).parts[:-1]
        if not any(f in excluded or f.startswith("config-") for f in folders):
            yield path


def _chunks_of_file(path: Path, root: Path) -> Iterator[CorpusChunk]:
    try:
        text = path.read_text("utf-8-sig")
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return
    relative = path.relative_to(root).with_suffix("")
    parts = relative.parts[:-1] if relative.name == "__init__" else relative.parts
    if not parts:
        return
    module = ".".join(parts)
    segment = families().get(parts[0], DEFAULT_SEGMENT)
    lines = text.splitlines(keepends=True)
    for qualname, node in _definitions(tree.body, ""):
        question = _question(ast.get_docstring(node))
        chunk_text = _text_without_docstrings(lines, node)
        if chunk_text and _is_worth_finding(node, question):
            yield CorpusChunk(f"{module}:{qualname}", chunk_text, segment, question)


def _definitions(body: Sequence[ast.stmt], prefix: str) -> Iterator[tuple[str, _Definition]]:
    """Yield module-level and class-level definitions; functions inside functions are details."""
    for node in body:
        if isinstance(node, _Definition):
            yield prefix + node.name, node
            if isinstance(node, ast.ClassDef):
                yield from _definitions(node.body, f"{prefix}{node.name}.")
        elif isinstance(node, ast.If | ast.Try):
            yield from _definitions(node.body, prefix)
            yield from _definitions(node.orelse, prefix)


def _is_worth_finding(node: _Definition, question: str | None) -> bool:
    """Leave out what nobody searches for: empty bodies and undocumented protocol methods."""
    if question is None and node.name.startswith("__") and node.name.endswith("__"):
        return False
    return not all(_is_filler(statement) for statement in node.body)


def _is_filler(statement: ast.stmt) -> bool:
    """Docstrings, `pass`, `...`, and a `raise` that leaves the work to subclasses."""
    if isinstance(statement, ast.Expr):
        return isinstance(statement.value, ast.Constant)
    if isinstance(statement, ast.Raise) and statement.exc is not None:
        return "NotImplemented" in ast.dump(statement.exc)
    return isinstance(statement, ast.Pass)


def _docstring_lines(node: _Definition) -> Iterator[range]:
    """Yield the 1-based line ranges of the docstrings of `node` and of everything inside it."""
    for inner in ast.walk(node):
        if isinstance(inner, _Definition) and ast.get_docstring(inner, clean=False) is not None:
            first = inner.body[0]
            yield range(first.lineno, (first.end_lineno or first.lineno) + 1)


def _text_without_docstrings(lines: Sequence[str], node: _Definition) -> str:
    removed = {number for lines_of_one in _docstring_lines(node) for number in lines_of_one}
    start = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    kept = [
        lines[number - 1]
        for number in range(start, (node.end_lineno or node.lineno) + 1)
        if number not in removed and lines[number - 1].strip()
    ]
    indent = len(kept[0]) - len(kept[0].lstrip()) if kept else 0
    text = ""
    for line in kept:
        line = line[indent:] if not line[:indent].strip() else line
        if len(text) + len(line) > MAX_CHUNK_CHARS:
            break
        text += line
    return text.rstrip()


def _question(docstring: str | None) -> str | None:
    """Return the first sentence of a docstring's first paragraph, or None when it is no search."""
    if not docstring:
        return None
    paragraph = " ".join(docstring.strip().split("\n\n")[0].split())
    sentence = _SENTENCE_END.split(paragraph, maxsplit=1)[0]
    usable = (
        len(sentence.split()) >= _MIN_QUESTION_WORDS
        and len(sentence) <= _MAX_QUESTION_CHARS
        and not _BOILERPLATE.match(sentence)
    )
    return sentence if usable else None
