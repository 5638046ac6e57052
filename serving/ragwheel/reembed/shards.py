"""A corpus in shards, and what became of each chunk. Pure.

A shard is named by what it holds when it is planned, so planning again after a crash names the same
shards. Afterwards it may lose chunks (deleted, edited, forgotten) and keeps its name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Literal

#: Chunks per shard: what a crash repeats at most, about 15 s of work on two cores.
SHARD_CHUNKS = 1_024
EMBEDDED = "embedded"
#: The fate of a chunk is `embedded`, or one of these with its reason.
FAILED, SKIPPED = "failed: ", "skipped: "
NO_TEXT = "no text is stored under its hash"

ChunkPair = tuple[str, str]
"""A chunk: (id, content hash in hexadecimal)."""


@dataclass(frozen=True, slots=True)
class Shard:
    """Chunks that are embedded together.

    Attributes:
        shard_id: 32 hexadecimal digits.
        revision: how often it was written before; what is written next is one more.
        state: it waits, or each chunk has its fate.
        fates: of each pair; empty while it waits.
        seconds: of embedding it.
        runner: where that happened.
    """

    shard_id: str
    revision: int
    state: Literal["waiting", "done"]
    pairs: Sequence[ChunkPair]
    fates: Sequence[str] = ()
    seconds: float = 0.0
    runner: str = ""

    def kept(self, live: Collection[ChunkPair]) -> Shard:
        """The shard without what the index no longer holds; itself if it holds all."""
        rows = [row for row, pair in enumerate(self.pairs) if pair in live]
        if len(rows) == len(self.pairs):
            return self
        return replace(
            self,
            revision=self.revision + 1,
            pairs=[self.pairs[row] for row in rows],
            fates=[self.fates[row] for row in rows] if self.fates else (),
        )

    def done(self, fates: Mapping[str, str], seconds: float, runner: str) -> Shard:
        """The shard with its outcome.

        Args:
            fates: by chunk id, of those that were not embedded.
        """
        return replace(
            self, revision=self.revision + 1, state="done", seconds=seconds, runner=runner,
            fates=[fates.get(chunk_id, EMBEDDED) for chunk_id, _ in self.pairs],
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Totals:
    """What became of a corpus.

    Attributes:
        corpus: chunks that the index holds now.
        embedded: of them, in the new build.
        failed, skipped: how many by reason.
        waiting: in shards that are not done.
        shards, shards_done: how many.
        seconds: of embedding, in all processes together.
    """

    corpus: int
    embedded: int
    failed: Mapping[str, int] = field(default_factory=dict)
    skipped: Mapping[str, int] = field(default_factory=dict)
    waiting: int = 0
    shards: int = 0
    shards_done: int = 0
    seconds: float = 0.0

    @property
    def unaccounted(self) -> int:
        """Chunks of which nothing is known: those that came since; after a catch-up 0."""
        known = self.embedded + sum(self.failed.values()) + sum(self.skipped.values())
        return self.corpus - known - self.waiting


def cut(pairs: Sequence[ChunkPair], fingerprint: str, size: int = SHARD_CHUNKS) -> Iterator[Shard]:
    """Waiting shards of chunks that belong to none yet.

    Args:
        fingerprint: of the encoder that is going to embed them.
    """
    ordered = sorted(pairs, key=lambda pair: (pair[1], pair[0]))
    for start in range(0, len(ordered), size):
        part = ordered[start : start + size]
        yield Shard(shard_id_of(part, fingerprint), 0, "waiting", part)


def shard_id_of(pairs: Sequence[ChunkPair], fingerprint: str) -> str:
    """Digest of fingerprint and chunks.

    Ids are in it besides the hashes: one text may stand under several ids, in shards of their own.
    """
    hasher = blake2b(digest_size=16, person=b"shard")
    for part in (fingerprint, *(each for pair in sorted(pairs) for each in pair)):
        raw = part.encode()
        hasher.update(len(raw).to_bytes(8, "big") + raw)
    return hasher.hexdigest()


def tally(fates: Mapping[str, int]) -> tuple[int, dict[str, int], dict[str, int]]:
    """Embedded, and how many failed and were skipped, by reason."""
    counts = {FAILED: Counter[str](), SKIPPED: Counter[str]()}
    for fate, count in fates.items():
        for kind, of_kind in counts.items():
            if fate.startswith(kind):
                of_kind[fate.removeprefix(kind)] += count
    return fates.get(EMBEDDED, 0), dict(counts[FAILED]), dict(counts[SKIPPED])
