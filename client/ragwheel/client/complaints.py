"""Log lines about our own trouble: one per kind, then silence for a while.

A service that emits 10,000 events a second must not log 10,000 lines when the broker is away.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

_LOG = logging.getLogger("ragwheel.client")
REPEAT_AFTER_S = 300.0


@dataclass(slots=True)
class _Kind:
    last_s: float
    suppressed: int = 0


class Complaints:
    """Says each kind of problem once, and again after `repeat_after_s` with the number in between.

    Never raises, whatever the service's logging handlers do.
    """

    def __init__(
        self, repeat_after_s: float = REPEAT_AFTER_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._repeat_after_s = repeat_after_s
        self._clock = clock
        self.reset()

    def reset(self) -> None:
        """Forget what was said, with a new lock (for a forked child)."""
        self._lock = Lock()
        self._kinds: dict[str, _Kind] = {}

    def say(self, kind: str, message: str) -> bool:
        """Log `message` as a warning unless this kind was said lately.

        Args:
            kind: from a small closed set; equal kinds share the limit.

        Returns:
            Whether a line was written.
        """
        with self._lock:
            now_s = self._clock()
            known = self._kinds.get(kind)
            if known is not None and now_s - known.last_s < self._repeat_after_s:
                known.suppressed += 1
                return False
            suppressed = 0 if known is None else known.suppressed
            self._kinds[kind] = _Kind(now_s)
        note = f" ({suppressed} more like this since the last line)" if suppressed else ""
        _log(logging.WARNING, message + note)
        return True

    def relief(self, message: str) -> None:
        """Log the end of a trouble."""
        _log(logging.INFO, message)


def _log(level: int, message: str) -> None:
    with contextlib.suppress(Exception):  # a broken log handler must not break the service
        _LOG.log(level, "%s", message)
