"""Vectors that were asked for lately, in memory. A vector of another model is never one of them.

The key says everything that a vector depends on: the space (fingerprint), the arithmetic, the role,
the prompt and the exact text. After a swap the old model's vectors are not found any more, and
leave as others come.
"""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import numpy.typing as npt

VectorKey = tuple[str, str, str, str, str]
"""Fingerprint, arithmetic, role, prompt, text."""
OneVector = npt.NDArray[np.float32]
"""Shape (dimension,)."""

#: What Python needs for a key, an entry and an array besides text and numbers, bytes (measured).
_OVERHEAD_BYTES = 500


class RecentVectors:
    """The last used vectors, up to a limit in bytes. Not thread-safe."""

    def __init__(self, max_bytes: int) -> None:
        """`max_bytes` 0 keeps nothing."""
        self._max_bytes = max_bytes
        self._kept: OrderedDict[VectorKey, OneVector] = OrderedDict()
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: VectorKey) -> OneVector | None:
        """The vector of exactly that key."""
        vector = self._kept.get(key)
        if vector is not None:
            self._kept.move_to_end(key)
        return vector

    def put(self, key: VectorKey, vector: OneVector) -> None:
        """Keep a vector, and let the longest unused go until it fits."""
        size = _size(key, vector)
        if size > self._max_bytes or key in self._kept:
            return
        # A row of a batch would keep the whole batch in memory.
        self._kept[key] = vector.copy()
        self.bytes += size
        while self.bytes > self._max_bytes:
            self.bytes -= _size(*self._kept.popitem(last=False))


def _size(key: VectorKey, vector: OneVector) -> int:
    # Four bytes per character is the most that Python's text takes.
    return vector.nbytes + 4 * len(key[4]) + _OVERHEAD_BYTES
