"""Identifiers made in the service: UUIDv7, so that they sort by the time they were made."""

from __future__ import annotations

import os
import time

_NS_PER_MS = 1_000_000


def new_id(now_ns: int | None = None) -> str:
    """A UUID of version 7 (RFC 9562, section 5.7) in its usual text form.

    The 12 bits after the version hold the fraction of the millisecond (section 6.2, method 3),
    which keeps ids of one process in order to about a quarter of a microsecond. The other 62 bits
    come from the system on every call: there is no state that a fork could copy.

    Args:
        now_ns: nanoseconds since the epoch; None takes the clock.
    """
    milliseconds, rest_ns = divmod(time.time_ns() if now_ns is None else now_ns, _NS_PER_MS)
    random_62 = int.from_bytes(os.urandom(8), "big") >> 2
    fraction = (rest_ns << 12) // _NS_PER_MS
    value = milliseconds << 80 | 0x7 << 76 | fraction << 64 | 0b10 << 62 | random_62
    digits = f"{value:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
