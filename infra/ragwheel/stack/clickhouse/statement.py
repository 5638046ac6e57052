"""Reading just enough SQL to serve HTTP: is there inline data, is there a result, in which format.

The same decisions that ClickHouse's own parser makes for a request body, without the rest of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

_TOKEN = re.compile(
    rb"""
      (?P<space>\s+|--[^\n]*(?:\n|$)|\#[!\ ][^\n]*(?:\n|$)|/\*.*?\*/)
    | (?P<quoted>'(?:[^'\\]|\\.|'')*'|`(?:[^`\\]|\\.|``)*`|"(?:[^"\\]|\\.|"")*")
    | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<open>[(\[{])
    | (?P<close>[)\]}])
    | (?P<other>[^'`"/])
    | (?P<slash>/(?!\*))
    """,
    re.VERBOSE | re.DOTALL,
)
# What stands between the format's name and the data, as ClickHouse skips it: never more than one
# line break, because binary data may begin with bytes that look like space.
_BEFORE_DATA = re.compile(rb"[ \t]*;?[ \t]*(?:\r?\n)?")
_TRAILING_FORMAT = re.compile(rb"\bFORMAT\s+([A-Za-z]\w*)\s*;?\s*$", re.IGNORECASE)
# After one of these an INSERT brings no inline data.
_OTHER_INSERTS = frozenset({b"SELECT", b"WITH", b"FROM", b"WATCH"})
_WITH_RESULT = frozenset(
    {b"SELECT", b"WITH", b"SHOW", b"DESCRIBE", b"DESC", b"EXISTS", b"EXPLAIN", b"CHECK"}
)


class NotInline(Enum):
    """What a text is, if not an insert with inline data."""

    OTHER = auto()
    UNDECIDED = auto()


@dataclass(frozen=True, slots=True)
class InlineInsert:
    """An INSERT whose data follows it in the same text.

    Attributes:
        statement: up to but without `FORMAT` or `VALUES`, e.g. `INSERT INTO t (a)`.
        format: name of the data's format, e.g. `Native`; `Values` after `VALUES`.
        data_offset: where the data begins in the text.
    """

    statement: bytes
    format: str
    data_offset: int


def first_word(text: bytes) -> bytes:
    """The statement's first keyword in upper case; comments and brackets before it are skipped."""
    for kind, value, _, _ in _tokens(text):
        if kind == "word":
            return value
        if kind not in ("space", "open"):
            break
    return b""


def has_result(text: bytes) -> bool:
    """Whether the statement answers with a table, even an empty one."""
    return first_word(text) in _WITH_RESULT


def trailing_format(text: bytes) -> str | None:
    """Name in a FORMAT clause at the end of the statement."""
    match = _TRAILING_FORMAT.search(text[-256:])
    return match.group(1).decode() if match else None


def inline_insert(text: bytes, *, complete: bool) -> InlineInsert | NotInline:
    """Splits `INSERT … FORMAT x <data>` and `INSERT … VALUES <data>`.

    Args:
        text: the beginning of the request's text.
        complete: whether nothing follows `text`.

    Returns:
        The parts, or OTHER for any other statement, or UNDECIDED if more text is needed to tell.
    """
    depth = 0
    seen_insert = False
    format_start = -1
    for kind, value, start, end in _tokens(text):
        if end == len(text) and not complete:
            return NotInline.UNDECIDED  # the word, or the first half of a comment's sign, may go on
        if kind == "open":
            depth += 1
        elif kind == "close":
            depth -= 1
        if kind != "word" or depth > 0:
            if not seen_insert and kind not in ("space", "word"):
                return NotInline.OTHER
            continue
        if not seen_insert:
            if value != b"INSERT":
                return NotInline.OTHER
            seen_insert = True
        elif format_start >= 0:
            between = _BEFORE_DATA.match(text, end)
            data_offset = between.end() if between else end
            if data_offset == len(text) and not complete:
                return NotInline.UNDECIDED  # the line break may follow
            return InlineInsert(text[:format_start], text[start:end].decode(), data_offset)
        elif value == b"FORMAT":
            format_start = start
        elif value == b"VALUES":
            return InlineInsert(text[:start], "Values", end)
        elif value in _OTHER_INSERTS:
            return NotInline.OTHER
    return NotInline.OTHER if complete else NotInline.UNDECIDED


def _tokens(text: bytes) -> Iterator[tuple[str, bytes, int, int]]:
    """Kind, text in upper case, start and end of each token."""
    position = 0
    while match := _TOKEN.match(text, position):
        position = match.end()
        yield match.lastgroup or "", match.group().upper(), match.start(), position
        if position == len(text):
            return
