"""Trying again in place, for ever, until it works: the answer to every fault that is not ours."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from ragwheel.schemas.errors import RagwheelError, TransientError

_LOG = logging.getLogger(__name__)
_T = TypeVar("_T")

FIRST_DELAY_S = 0.2
MAX_DELAY_S = 10.0


class StopRequestedError(RagwheelError):
    """The process was asked to end while it waited; unfinished work is left uncommitted."""


def delay_s(failures: int, jitter: float) -> float:
    """Wait after the `failures`-th failure in a row (1, 2 …): doubling, capped, jittered.

    Args:
        jitter: in [0, 1); spreads the wait over the upper half, so that workers that lost the same
            server do not return to it together.
    """
    full = min(MAX_DELAY_S, FIRST_DELAY_S * 2.0 ** min(failures - 1, 30))
    return full * (0.5 + 0.5 * jitter)


@dataclass(frozen=True, slots=True)
class Persistence:
    """Repeats an operation until it succeeds.

    Logs once when a fault begins and once when it ends, however many attempts lie between.

    Attributes:
        wait: waits that many seconds and keeps the process a live member of its consumer group;
            raises StopRequestedError when the process shall end.
        jitter: random numbers in [0, 1).
    """

    wait: Callable[[float], None]
    jitter: Callable[[], float]

    def until_done(
        self,
        what: str,
        operation: Callable[[], _T],
        on_failure: Callable[[], None] = lambda: None,
    ) -> _T:
        """Call `operation` until it does not raise a TransientError.

        Args:
            what: the operation in words, for the log.
            on_failure: called after each failure.

        Raises:
            StopRequestedError: from `wait`.
        """
        failures = 0
        while True:
            try:
                result = operation()
            except TransientError as error:
                failures += 1
                if failures == 1:
                    _LOG.warning("%s failed; trying again until it works: %s", what, error)
                on_failure()
                self.wait(delay_s(failures, self.jitter()))
                continue
            if failures:
                _LOG.warning("%s works again, after %d failed attempts", what, failures)
            return result
