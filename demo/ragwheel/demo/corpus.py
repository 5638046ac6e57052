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
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

MAX_CHUNK_CHARS = 1_000
"""Longer sources are cut at a line end: an embedding model reads only their beginning anyway."""

DEFAULT_SEGMENT = "runtime"

_FAMILIES: Mapping[str, str] = {
    "networking": (
        "asynchat asyncore cgi cgitb email ftplib http imaplib ipaddress mailbox mailcap"
        " netrc nntplib poplib smtpd smtplib socket socketserver ssl telnetlib urllib uu uuid"
        " webbrowser wsgiref xmlrpc"
    ),
    "files": (
        "_compression _pyio aifc base64 binhex bz2 chunk configparser copyreg csv dbm filecmp"
        " fileinput fnmatch genericpath glob gzip imghdr io json lzma mimetypes ntpath"
        " nturl2path os pathlib pickle pickletools plistlib posixpath quopri shelve shutil"
        " sndhdr sqlite3 stat sunau tarfile tempfile tomllib wave xdrlib xml zipapp zipfile"
        " zipimport"
    ),
    "concurrency": (
        "_threading_local asyncio concurrent contextvars multiprocessing pty queue sched"
        " selectors signal subprocess threading"
    ),
    "text": (
        "_markupbase _strptime calendar codecs codeop difflib encodings formatter gettext html"
        " locale pprint re reprlib shlex sre_compile sre_constants sre_parse string stringprep"
        " textwrap token tokenize"
    ),
    "numbers": (
        "_collections_abc _pydecimal _pydatetime _weakrefset bisect collections colorsys copy"
        " dataclasses datetime decimal enum fractions functools graphlib hashlib heapq hmac"
        " numbers operator random secrets statistics struct types typing weakref zoneinfo"
    ),
    "interfaces": (
        "_colorize _pyrepl argparse cmd code curses getopt getpass optparse readline"
        " rlcompleter tkinter turtle"
    ),
}
_SEGMENT_OF = {name: family for family, names in _FAMILIES.items() for name in names.split()}

SEGMENTS: tuple[str, ...] = (*_FAMILIES, DEFAULT_SEGMENT)
"""Package families, the retrieval tasks of the demo: every chunk is in exactly one."""

_EXCLUDED_DIRECTORIES = frozenset(
    {
        "__phello__",
        "distutils",  # gone since Python 3.12
        "encodings",  # a hundred generated code pages
        "ensurepip",
        "idle_test",
        "idlelib",
        "lib2to3",
        "lib-dynload",
        "pydoc_data",
        "site-packages",
        "test",
        "tests",
        "turtledemo",
    }
)

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
        segment: One of `SEGMENTS`.
        question: First sentence of the chunk's own docstring; None when there is none, when it is
            too short to be a search, or when another chunk has the same one (no single answer).
    """

    chunk_id: str
    text: str
    segment: str
    question: str | None


def standard_library() -> Path:
    """Return the folder of the running interpreter's standard library."""
    return Path(sysconfig.get_paths()["stdlib"])


def load_corpus(root: Path | None = None) -> tuple[CorpusChunk, ...]:
    """Return all chunks under `root` (default: this interpreter's library), sorted by chunk id.

    Left out: files that do not parse, functions inside functions, bodies that do nothing (see
    `_is_filler`), undocumented ``__special__`` methods. Equal texts are kept once, the first by
    chunk id; a question shared by several chunks is dropped from all of them.
    """
    root = standard_library() if root is None else root
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
    for path in sorted(root.rglob("*.py")):
        folders = path.relative_to(root).parts[:-1]
        if not any(f in _EXCLUDED_DIRECTORIES or f.startswith("config-") for f in folders):
            yield path


def _chunks_of_file(path: Path, root: Path) -> Iterator[CorpusChunk]:
    source = path.read_bytes().replace(b"\r\n", b"\n").removeprefix(b"\xef\xbb\xbf")
    try:
        text = source.decode("utf-8")
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return
    relative = path.relative_to(root).with_suffix("")
    parts = relative.parts[:-1] if relative.name == "__init__" else relative.parts
    if not parts:
        return
    module = ".".join(parts)
    segment = _SEGMENT_OF.get(parts[0], DEFAULT_SEGMENT)
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
