"""Which queries train, which choose, which decide. Pure.

The part is a function of the query's hash alone: a query never changes sides when more data
arrives, and all spellings of one query are on the same side.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Literal

Part = Literal["train", "dev", "gate"]

#: Of the queries that are not held out for the gate, the share that checks a finished model before
#: a judge is paid.
DEV_SHARE = 0.1
_BITS = 56


def part_of(query_hash: str, gate_share: float) -> Part:
    """The part of a query.

    Raising `gate_share` moves queries only into the gate, from either other part.
    """
    position = _uniform(query_hash, b"gate")
    if position < gate_share:
        return "gate"
    return "dev" if _uniform(query_hash, b"dev") < DEV_SHARE else "train"


def draw_order(query_hash: str) -> float:
    """A stable uniform number: the first n queries by it are a random sample of all."""
    return _uniform(query_hash, b"order")


def _uniform(query_hash: str, purpose: bytes) -> float:
    raw = blake2b(query_hash.encode(), digest_size=_BITS // 8, person=purpose).digest()
    return int.from_bytes(raw, "big") / float(1 << _BITS)
