"""A bounded memory of chunk texts that are in ClickHouse already."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

#: About 15 MB of hashes; a corpus that is larger costs repeated rows, which collapse when read.
CAPACITY = 100_000


class LandedChunks:
    """Content hashes whose text ClickHouse confirmed, least recently used forgotten first.

    Events that carry their chunks' texts repeat the popular ones thousands of times; each is
    inserted once per process instead. Forgetting is harmless: `chunks` collapses equal rows.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._hashes: OrderedDict[str, None] = OrderedDict()

    def __contains__(self, chunk_hash: str) -> bool:
        if chunk_hash not in self._hashes:
            return False
        self._hashes.move_to_end(chunk_hash)
        return True

    def add(self, hashes: Iterable[str]) -> None:
        """Remember hashes; call only after the insert was confirmed."""
        for chunk_hash in hashes:
            self._hashes[chunk_hash] = None
            self._hashes.move_to_end(chunk_hash)
        while len(self._hashes) > self._capacity:
            self._hashes.popitem(last=False)
