"""Tombstones: what was forgotten, by hash, so that nothing that is read again brings it back. Pure.

docs/decisions/0016-forgetting.md has the reasons, docs/privacy.md what an operator does with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, Literal, TypeVar, get_args

import orjson

from ragwheel.schemas import identity
from ragwheel.schemas.events import (
    Candidate,
    ChunkEvent,
    DeadLetter,
    FeedbackEvent,
    GradingJob,
    JobCandidate,
    Label,
    QueryEvent,
    Record,
    RetrievalEvent,
)

TombstoneKind = Literal["user", "query", "chunk", "chunk_id", "letter"]
"""`user` and `chunk_id` cover what happened until the tombstone was set: a user may come back, an
id may get another text. `query`, `chunk` (a text, by its content hash) and `letter` (a dead letter,
by its id) cover for good."""

_KINDS: frozenset[str] = frozenset(get_args(TombstoneKind))
#: These are named by a hash already.
_HASHES = ("chunk", "letter")
_R = TypeVar("_R", bound=Record)


def tombstone_hash(kind: TombstoneKind, value: str) -> bytes:
    """16 bytes that stand for `value`: SHA-256 cut short, so that no table keeps a name."""
    digest = value if kind in _HASHES else identity.digest("forgotten", kind, value)
    return bytes.fromhex(digest)


def tombstone_sql(kind: Literal["user", "query", "chunk_id"], column: str) -> str:
    """The same in SQL, of a column or other expression of ours.

    What deletes and updates say stays on ClickHouse's disk for a while (`system.mutations`), so
    they name hashes and nothing else.
    """
    known = b"".join(
        len(part).to_bytes(8, "big") + part for part in (b"forgotten", kind.encode())
    ).hex()
    length = f"reverse(reinterpretAsFixedString(toUInt64(length({column}))))"
    return f"substring(SHA256(concat(unhex('{known}'), {length}, {column})), 1, 16)"


class Tombstones:
    """What is forgotten. Grows in place: who holds it sees what was added."""

    def __init__(self) -> None:
        self._until: dict[tuple[str, bytes], datetime] = {}
        self._queries: set[bytes] = set()
        self._chunks: set[str] = set()

    def add(self, kind: str, hashed: bytes, at: datetime) -> None:
        """Set a tombstone; of one that is set again the later time counts. Unknown kinds are kept
        out: a later version's must not stop this one."""
        if kind not in _KINDS:
            return
        if kind == "query":
            self._queries.add(hashed)
        elif kind == "chunk":
            self._chunks.add(hashed.hex())
        else:
            key = (kind, hashed)
            self._until[key] = max(at, self._until.get(key, at))

    def __len__(self) -> int:
        return len(self._until) + len(self._queries) + len(self._chunks)

    def query(self, query_id: str) -> bool:
        """Whether this search is forgotten."""
        return bool(self._queries) and tombstone_hash("query", query_id) in self._queries

    def chunk(self, content_hash: str) -> bool:
        """Whether this text is forgotten."""
        return content_hash in self._chunks

    def covers(self, record: Record) -> bool:
        """Whether nothing of this record may be stored."""
        if not len(self):
            return False
        if isinstance(record, DeadLetter):
            return self._covers_letter(record)
        if isinstance(record, ChunkEvent):
            return record.content_hash in self._chunks or self._past(
                "chunk_id", record.chunk_id, record.ts
            )
        if self.query(str(getattr(record, "query_id", ""))):
            return True
        if isinstance(record, QueryEvent):
            return self._past("user", record.user, record.ts)
        if isinstance(record, FeedbackEvent):
            return self._past("chunk_id", record.chunk_id or "", record.ts)
        return isinstance(record, Label) and record.chunk_hash in self._chunks

    def without_chunks(self, record: _R) -> _R:
        """The record without candidates whose text is forgotten; other ranks stay as they are."""
        if not self._chunks and not self._until:
            return record
        found = record.candidates if isinstance(record, RetrievalEvent | GradingJob) else ()
        kept = tuple(each for each in found if not self._forgets(each, getattr(record, "ts", None)))
        if len(kept) == len(found):
            return record
        return record.model_copy(update={"candidates": kept})

    def _forgets(self, candidate: Candidate | JobCandidate, ts: Any) -> bool:
        if isinstance(candidate, JobCandidate):
            return candidate.chunk_hash in self._chunks
        return candidate.content_hash in self._chunks or self._past(
            "chunk_id", candidate.chunk_id, ts
        )

    def _past(self, kind: TombstoneKind, value: str, ts: datetime) -> bool:
        if not value or not self._until:
            return False
        until = self._until.get((kind, tombstone_hash(kind, value)))
        return until is not None and ts <= until

    def _covers_letter(self, letter: DeadLetter) -> bool:
        """By its id, or by what its bytes say, as far as they can still be read."""
        if ("letter", tombstone_hash("letter", letter.dead_letter_id)) in self._until:
            return True
        if letter.key and self.query(letter.key.decode("utf-8", "replace")):
            return True
        for field, value in said_in(letter.payload or b""):
            if (
                (field == "query_id" and self.query(value))
                or (field == "user" and self._past("user", value, letter.ts))
                or (field == "chunk_id" and self._past("chunk_id", value, letter.ts))
                or (field in ("content_hash", "chunk_hash") and value in self._chunks)
                or (field == "text" and identity.content_hash(value) in self._chunks)
            ):
                return True
        return False


_FIELDS = ("query_id", "user", "chunk_id", "content_hash", "chunk_hash", "text")
_IN_BYTES = re.compile(rb'"(%s)"\s*:\s*("(?:[^"\\]|\\.)*")' % "|".join(_FIELDS).encode())


def said_in(payload: bytes) -> Iterator[tuple[str, str]]:
    """(field, value) of what names somebody or something in an event, also in a broken one."""
    try:
        yield from _said(orjson.loads(payload))
    except orjson.JSONDecodeError:
        for field, value in _IN_BYTES.findall(payload):
            try:
                yield field.decode(), str(orjson.loads(value))
            except orjson.JSONDecodeError:
                yield field.decode(), value[1:-1].decode("utf-8", "replace")


def parses(payload: bytes) -> bool:
    """Whether it is JSON, of which `said_in` reads all that can be read."""
    try:
        orjson.loads(payload)
    except orjson.JSONDecodeError:
        return False
    return True


def _said(value: Any) -> Iterator[tuple[str, str]]:
    """Of an object and of its candidates."""
    if not isinstance(value, dict):
        return
    for field in _FIELDS:
        if isinstance(found := value.get(field), str | int):
            yield field, str(found)
    candidates = value.get("candidates")
    for each in candidates if isinstance(candidates, list) else ():
        yield from _said(each)


def literals(hashes: Iterable[bytes]) -> str:
    """What stands behind IN."""
    return f"({', '.join(sorted(f'unhex({each.hex()!r})' for each in hashes))})"
