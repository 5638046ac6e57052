"""A corpus, models without weights, a store in memory, and what ClickHouse knows, in memory."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from ragwheel.models.encoder import Encoder, Progress, Side, Tokens, VectorError, Vectors
from ragwheel.reembed.indexes.contracts import (
    Holding,
    Index,
    IndexBuild,
    Points,
    SpaceVectors,
    check_droppable,
    check_move,
    check_space,
    check_stored,
)
from ragwheel.reembed.shards import ChunkPair, Shard, Totals, tally
from ragwheel.reembed.states import Reembed
from ragwheel.schemas import identity
from ragwheel.schemas.events import IndexEvent

DIMENSION = 16
AT = datetime(2026, 11, 25, 12, tzinfo=UTC)
POISON = "a text without a vector"


@dataclass
class DrawnEncoder:
    """Vectors drawn by model and text: a text finds itself, and nothing else in particular.

    Attributes:
        note: file to which each text is added that is embedded.
        blind: texts that a query of these words does not find.
    """

    name: str
    note: Path | None = None
    blind: frozenset[str] = frozenset()

    @property
    def fingerprint(self) -> str:
        return f"space-of-{self.name}"

    arithmetic = "fp32"
    dimension = DIMENSION

    @property
    def again(self) -> Callable[[], Encoder]:
        return lambda: self

    def prompt(self, side: Side) -> str:
        return f"{side}: "

    def tokens(self, texts: Sequence[str]) -> Tokens:
        return np.array([len(text) // 3 + 2 for text in texts], np.int64)

    def encode(self, texts: Sequence[str], side: Side, progress: Progress | None = None) -> Vectors:
        if POISON in texts:
            raise VectorError("one of them is zero")
        if self.note is not None and side == "document":
            with self.note.open("a") as file:
                file.writelines(f"{text}\n" for text in texts)
        unseen = [f"{text} unseen" if text in self.blind else text for text in texts]
        return np.stack([self._vector(text) for text in unseen])

    def _vector(self, text: str) -> Vectors:
        digest = blake2b(f"{self.name}|{text}".encode(), digest_size=8).digest()
        drawn = np.random.default_rng(int.from_bytes(digest, "big")).normal(size=DIMENSION)
        return (drawn / np.linalg.norm(drawn)).astype(np.float32)


@dataclass
class MemoryIndex:
    """A vector store in memory that keeps its contract.

    Attributes:
        builds: physical name → (fingerprint, id → vector).
        refuses: ids that it cannot take, with the reason.
    """

    builds: dict[str, tuple[str, dict[str, Vectors]]] = field(default_factory=dict)
    alias: str = ""
    refuses: Mapping[str, str] = field(default_factory=dict)
    display = "memory://here#chunks"

    def create(self, build: IndexBuild) -> None:
        if build.physical in self.builds:
            check_stored(build, self.builds[build.physical][0])
        self.builds.setdefault(build.physical, (build.fingerprint, {}))

    def upsert(
        self, build: IndexBuild, points: Points, gone: Sequence[str] = ()
    ) -> Mapping[str, str]:
        check_space(build, points.vectors)
        held = self._held(build)
        for chunk_id, vector in zip(points.ids, points.vectors.vectors, strict=True):
            if chunk_id not in self.refuses:
                held[chunk_id] = vector
        for chunk_id in gone:
            held.pop(chunk_id, None)
        return {each: why for each, why in self.refuses.items() if each in points.ids}

    def verify(self, build: IndexBuild, queries: SpaceVectors | None, depth: int = 10) -> Holding:
        held = self._held(build)
        if queries is None:
            return Holding(len(held), [])
        check_space(build, queries)
        ids, vectors = list(held), np.stack(list(held.values()))
        order = np.argsort(-queries.vectors @ vectors.T, axis=1, kind="stable")[:, :depth]
        return Holding(len(held), [[ids[column] for column in row] for row in order])

    def point(self, build: IndexBuild, before: str) -> None:
        if self.alias != build.physical:
            check_move("chunks", self.alias, before)
            self._held(build)
            self.alias = build.physical

    def drop(self, build: IndexBuild) -> None:
        check_droppable(build, self.alias)
        self.builds.pop(build.physical, None)

    def serving(self) -> str:
        return self.alias

    def close(self) -> None:
        pass

    def _held(self, build: IndexBuild) -> dict[str, Vectors]:
        stored, held = self.builds.get(build.physical, (None, {}))
        check_stored(build, stored)
        return held


@dataclass
class MemoryLog:
    """What `ReembedStore` keeps in ClickHouse; an integration test holds the two together.

    Attributes:
        live: what the index holds: content hash by chunk id.
        known_texts: by content hash.
    """

    live: dict[str, str] = field(default_factory=dict)
    known_texts: dict[str, str] = field(default_factory=dict)
    written: dict[str, Shard] = field(default_factory=dict)
    saved: list[Reembed] = field(default_factory=list)
    said: dict[str, IndexEvent] = field(default_factory=dict)
    copies: int = 0

    def put(self, chunk_id: str, text: str, *, with_text: bool = True) -> None:
        """A chunk comes, or is edited."""
        hashed = identity.content_hash(text)
        self.live[chunk_id] = hashed
        if with_text:
            self.known_texts[hashed] = text

    def fresh(self, reembed: Reembed) -> list[ChunkPair]:
        held = {pair for shard in self.written.values() for pair in shard.pairs}
        return [pair for pair in self.live.items() if pair not in held]

    def stale(self, reembed: Reembed) -> list[tuple[str, ChunkPair]]:
        return [
            (shard.shard_id, (chunk_id, hashed))
            for shard in self.written.values()
            for chunk_id, hashed in shard.pairs
            if self.live.get(chunk_id) != hashed
        ]

    def live_ids(self, reembed: Reembed, ids: Sequence[str]) -> set[str]:
        return self.live.keys() & set(ids)

    def shard_ids(self, reembed: Reembed, state: str) -> list[str]:
        return sorted(each.shard_id for each in self.written.values() if each.state == state)

    def shards(self, reembed: Reembed, shard_ids: Sequence[str]) -> list[Shard]:
        return [self.written[each] for each in shard_ids if each in self.written]

    def unfinished(self, reembed: Reembed) -> list[str]:
        return [s.shard_id for s in self.written.values() if any(f != "embedded" for f in s.fates)]

    def write(self, reembed: Reembed, shards: Sequence[Shard]) -> None:
        for each in shards:
            before = self.written.get(each.shard_id)
            if before is None or each.revision > before.revision:
                self.written[each.shard_id] = each

    def texts(self, hashes: Sequence[str]) -> dict[str, str]:
        return {each: self.known_texts[each] for each in hashes if each in self.known_texts}

    def totals(self, reembed: Reembed) -> Totals:
        fates: dict[str, int] = {}
        for shard in self.written.values():
            for fate in shard.fates:
                fates[fate] = fates.get(fate, 0) + 1
        embedded, failed, skipped = tally(fates)
        waiting = [each for each in self.written.values() if each.state == "waiting"]
        return Totals(
            len(self.live), embedded, failed, skipped, sum(len(each.pairs) for each in waiting),
            len(self.written), len(self.written) - len(waiting),
        )  # fmt: skip

    def save(self, reembed: Reembed) -> None:
        self.saved.append(reembed)

    def declaration(self, index: str, version: str) -> IndexEvent | None:
        return self.said.get(version)

    def copy_entries(self, reembed: Reembed) -> int:
        self.copies += 1
        return self.totals(reembed).embedded

    def deleted_ids(self, reembed: Reembed) -> list[str]:
        return []

    def came_since(self, reembed: Reembed, version: str, other: str) -> int:
        return 3


def planned(document: Encoder, old_physical: str = "docs__1", **changes: Any) -> Reembed:
    """A plan to embed index `docs`, build 1, with `document`."""
    given: dict[str, Any] = {
        "reembed_id": "4f2a", "step": 0, "state": "planned", "ts": AT, "by": "ops", "reason": "",
        "index": "docs", "from_version": "1", "from_fingerprint": "space-of-old",
        "from_physical": old_physical, "version": "2", "physical": "docs__2",
        "store": "memory://here#chunks", "target": "new-model",
        "document_fingerprint": document.fingerprint, "dimension": document.dimension,
        "document_prompt": "", "query_prompt": "", "max_seq_length": 128,
    }  # fmt: skip
    return Reembed(**given | changes)


@dataclass
class Deadly:
    """Wraps something and ends this process, as `kill -9` does, when a call of it is done.

    Attributes:
        at: the call, by name.
        after: how many of them are survived.
        first: end the process before the call instead.
    """

    inner: Any
    at: str
    after: int
    first: bool = False
    _seen: int = 0

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.inner, name)
        if name != self.at:
            return found

        def call(*given: Any, **named: Any) -> Any:
            self._seen += 1
            if self.first and self._seen > self.after:
                os.kill(os.getpid(), signal.SIGKILL)
            done = found(*given, **named)
            if self._seen > self.after:
                os.kill(os.getpid(), signal.SIGKILL)
            return done

        return call


def _index_of(index: MemoryIndex) -> Index:
    """The store in memory keeps the contract; mypy looks."""
    return index
