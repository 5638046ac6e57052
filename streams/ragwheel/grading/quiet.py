"""Keeps the libraries' logs readable: an outage is told, not repeated thirty times a second."""

from __future__ import annotations

import logging
from collections.abc import Callable
from time import monotonic

#: Loggers whose INFO is one line per request, and sixty for each start and stop.
_CHATTY = ("httpx2", "faust", "mode", "aiokafka")
_INTERVAL_S = 30.0


class Repeats(logging.Filter):
    """Lets each message of the chatty loggers through once per interval.

    Two records are the same message when they come from the same line of code.
    """

    def __init__(
        self, interval_s: float = _INTERVAL_S, clock: Callable[[], float] = monotonic
    ) -> None:
        super().__init__()
        self._interval_s = interval_s
        self._clock = clock
        self._last: dict[tuple[str, int], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to show `record`."""
        if record.name.split(".")[0] not in _CHATTY:
            return True
        line = (record.pathname, record.lineno)
        now = self._clock()
        if now - self._last.get(line, float("-inf")) < self._interval_s:
            return False
        self._last[line] = now
        return True


def quiet_libraries() -> None:
    """Only warnings of the chatty loggers, and those not over and over."""
    for name in _CHATTY:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.root.level))
    for handler in logging.root.handlers:
        handler.addFilter(Repeats())
