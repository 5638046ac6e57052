"""Filling the new build until nothing is new: plan shards, embed them, store them, look again.

What is to do is asked of ClickHouse each time, as the difference between what the index holds and
what shards hold. So a pass after a crash, after a day, and after a million new chunks is the same
pass, and no clock decides what is new.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, overload

import numpy as np

from ragwheel.models.encoder import Vectors
from ragwheel.models.vectors import KnownVectors
from ragwheel.reembed.embed_shard import EmbeddedTexts, ShardTask
from ragwheel.reembed.indexes.contracts import Index, Points, SpaceVectors
from ragwheel.reembed.runners import Runner
from ragwheel.reembed.shards import (
    EMBEDDED,
    FAILED,
    NO_TEXT,
    SHARD_CHUNKS,
    SKIPPED,
    ChunkPair,
    Shard,
    Totals,
    cut,
)
from ragwheel.reembed.states import Reembed
from ragwheel.schemas.errors import TransientError

#: Passes in a row that may find something new before we say that chunks come faster than we embed.
_PASSES = 50
#: Most of a reason that is kept.
_REASON_CHARS = 200

Watch = Callable[[Totals], None]
"""Hears of progress after each shard."""


class ShardLog(Protocol):
    """What a build asks of ClickHouse (`store.ReembedStore`, which says what each does)."""

    def fresh(self, reembed: Reembed) -> list[ChunkPair]: ...
    def stale(self, reembed: Reembed) -> list[tuple[str, ChunkPair]]: ...
    def live_ids(self, reembed: Reembed, ids: Sequence[str]) -> set[str]: ...
    def shard_ids(self, reembed: Reembed, state: str) -> list[str]: ...
    def shards(self, reembed: Reembed, shard_ids: Sequence[str]) -> list[Shard]: ...
    def unfinished(self, reembed: Reembed) -> list[str]: ...
    def write(self, reembed: Reembed, shards: Sequence[Shard]) -> None: ...
    def texts(self, hashes: Sequence[str]) -> dict[str, str]: ...
    def totals(self, reembed: Reembed) -> Totals: ...


@dataclass(frozen=True, slots=True)
class _InHand:
    """A shard that was handed to a runner.

    Attributes:
        asked: hashes of the texts that it embeds, in their order.
        known: vectors of the others, from the cache.
        texts: by hash.
    """

    shard: Shard
    asked: Sequence[str]
    known: dict[str, Vectors]
    texts: dict[str, str]


@dataclass
class Building:
    """Fills one build. For one thread.

    Attributes:
        arithmetic: of the vectors that `known` holds; others are stored in the index alone.
        shard_chunks: of the shards that are planned from now on.
    """

    log: ShardLog
    index: Index
    reembed: Reembed
    runner: Runner
    known: KnownVectors
    arithmetic: str
    watch: Watch = lambda _: None
    shard_chunks: int = SHARD_CHUNKS
    _in_hand: dict[int, _InHand] = field(default_factory=dict)

    def catch_up(self) -> Totals:
        """Embed and store until the new build has what the index has.

        Raises:
            TransientError: chunks come faster than they are embedded.
        """
        self.index.create(self.reembed.build)
        self._reopen()
        for _ in range(_PASSES):
            self._take_out()
            self._plan()
            waiting = self.log.shard_ids(self.reembed, "waiting")
            if not waiting:
                return self.log.totals(self.reembed)
            self._embed(waiting)
        raise TransientError(
            f"after {_PASSES} passes there are still new chunks in index {self.reembed.index!r}: "
            "use more workers, or let the indexer pause"
        )

    def _reopen(self) -> None:
        """Chunks without a vector leave their shards, and so are new: each command tries them."""
        for shard in self.log.shards(self.reembed, self.log.unfinished(self.reembed)):
            embedded = {
                pair
                for pair, fate in zip(shard.pairs, shard.fates, strict=True)
                if fate == EMBEDDED
            }
            self.log.write(self.reembed, [shard.kept(embedded)])

    def _take_out(self) -> None:
        """What left the index leaves shards and build."""
        stale: dict[str, set[ChunkPair]] = {}
        for shard_id, pair in self.log.stale(self.reembed):
            stale.setdefault(shard_id, set()).add(pair)
        for shard in self.log.shards(self.reembed, list(stale)):
            out = stale[shard.shard_id]
            ids = sorted({chunk_id for chunk_id, _ in out})
            # An edited chunk stays under its id, with the vector of its new text.
            gone = sorted(set(ids) - self.log.live_ids(self.reembed, ids))
            if gone:
                self.index.upsert(self.reembed.build, self._points([], {}, {}), gone)
            self.log.write(self.reembed, [shard.kept(set(shard.pairs) - out)])

    def _plan(self) -> None:
        while pairs := self.log.fresh(self.reembed):
            cuts = list(cut(pairs, self.reembed.document_fingerprint, self.shard_chunks))
            # One that lost all its chunks, which came back since, is written over.
            before = self.log.shards(self.reembed, [each.shard_id for each in cuts])
            revisions = {each.shard_id: each.revision + 1 for each in before}
            self.log.write(
                self.reembed,
                [replace(each, revision=revisions.get(each.shard_id, 0)) for each in cuts],
            )

    def _embed(self, shard_ids: Sequence[str]) -> None:
        self._in_hand.clear()
        for at, made in self.runner.run(_Tasks(shard_ids, self._hand_out)):
            self._store(self._in_hand.pop(at), made)
            self.watch(self.log.totals(self.reembed))

    def _hand_out(self, at: int, shard_id: str) -> ShardTask:
        (shard,) = self.log.shards(self.reembed, [shard_id])
        hashes = list(dict.fromkeys(chunk_hash for _, chunk_hash in shard.pairs))
        texts = self.log.texts(hashes)
        known = self.known.find([each for each in hashes if each in texts])
        asked = [each for each in hashes if each in texts and each not in known]
        self._in_hand[at] = _InHand(shard, asked, known, texts)
        return ShardTask(self.reembed.document_fingerprint, [texts[each] for each in asked])

    def _store(self, held: _InHand, made: EmbeddedTexts) -> None:
        """Vectors into cache and index, then what became of the shard: in this order."""
        good = [row for row in range(len(held.asked)) if row not in made.failed]
        hashes = [held.asked[row] for row in good]
        if made.arithmetic == self.arithmetic:
            self.known.add(hashes, made.vectors[good])
        vectors = held.known | dict(zip(hashes, made.vectors[good], strict=True))
        reasons = {held.asked[row]: reason for row, reason in made.failed.items()}
        pairs = [pair for pair in held.shard.pairs if pair[1] in vectors]
        refused = self.index.upsert(
            self.reembed.build, self._points(pairs, vectors, held.texts)
        ) if pairs else {}  # fmt: skip
        fates = {
            chunk_id: FAILED + reasons[chunk_hash] if chunk_hash in reasons else SKIPPED + NO_TEXT
            for chunk_id, chunk_hash in held.shard.pairs
            if chunk_hash not in vectors
        }
        fates |= {each: FAILED + why[:_REASON_CHARS] for each, why in refused.items()}
        done = held.shard.done(fates, made.seconds, self.runner.name)
        self.log.write(self.reembed, [done])

    def _points(
        self, pairs: Sequence[ChunkPair], vectors: dict[str, Vectors], texts: dict[str, str]
    ) -> Points:
        rows = [vectors[chunk_hash] for _, chunk_hash in pairs]
        found = np.stack(rows) if rows else np.zeros((0, self.reembed.dimension), np.float32)
        return Points(
            [chunk_id for chunk_id, _ in pairs],
            [chunk_hash for _, chunk_hash in pairs],
            SpaceVectors(self.reembed.document_fingerprint, found),
            # A build that replaces another takes over what its service keeps beside a vector.
            None if self.reembed.from_physical else [texts[hashed] for _, hashed in pairs],
        )


class _Tasks(Sequence[ShardTask]):
    """Shards that are read when a runner has a place for them, and not before."""

    def __init__(self, shard_ids: Sequence[str], read: Callable[[int, str], ShardTask]) -> None:
        self._ids, self._read = shard_ids, read

    def __len__(self) -> int:
        return len(self._ids)

    @overload
    def __getitem__(self, at: int) -> ShardTask: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[ShardTask]: ...
    def __getitem__(self, at: int | slice) -> ShardTask | Sequence[ShardTask]:
        if isinstance(at, slice):
            return [self[each] for each in range(*at.indices(len(self)))]
        return self._read(at, self._ids[at])
