"""What to do about a call that failed. Pure: the clock and the dice are arguments.

The SDK's own retries are off, because its waits would stack on ours, invisible to the consumer
group, and it gives up altogether on a Retry-After of more than two minutes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Literal

FailureKind = Literal["http", "timeout", "connection", "protocol"]

#: Statuses that a later try may turn into an answer, besides every 5xx.
_TRANSIENT_STATUSES = frozenset({408, 409, 425, 429})
#: A 429 with this code means an empty account, not a busy one: waiting does not fill it.
_QUOTA_CODES = frozenset({"insufficient_quota", "billing_hard_limit_reached"})


@dataclass(frozen=True, slots=True)
class CallFailure:
    """A call without a usable completion.

    Attributes:
        kind: http = the server answered with an error status; protocol = it answered nonsense.
        message: for people; holds no key and no passage.
        status: HTTP status for kind http.
        code: the server's own error code.
        retry_after_s: what the server asks for, seconds.
    """

    kind: FailureKind
    message: str
    status: int | None = None
    code: str = ""
    retry_after_s: float | None = None

    @property
    def transient(self) -> bool:
        """Whether the same request can succeed later."""
        if self.kind != "http" or self.status is None:
            return True
        if self.code in _QUOTA_CODES:
            return False
        return self.status in _TRANSIENT_STATUSES or self.status >= 500

    def __str__(self) -> str:
        return f"HTTP {self.status}: {self.message}" if self.status else self.message


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How patiently a call is repeated.

    Attributes:
        base_s: upper bound of the first wait; doubles with every failure.
        cap_s: upper bound of any wait that the server did not ask for.
        deadline_s: no new try is started later than this after the first one.
    """

    base_s: float = 0.5
    cap_s: float = 30.0
    deadline_s: float = 1_800.0


@dataclass(frozen=True, slots=True)
class Wait:
    """Try again after `seconds`; `for_all`: the server asked everybody to hold back."""

    seconds: float
    for_all: bool = False


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Do not try again."""

    reason: str


def decide(
    failure: CallFailure, *, failures: int, elapsed_s: float, policy: RetryPolicy, dice: float
) -> Wait | GiveUp:
    """What follows the `failures`-th failure (1 is the first) in a row of one call.

    Retry-After is obeyed without a cap of its own; only the deadline limits it. Otherwise the wait
    is uniform in [0, min(cap, base·2^(failures-1))] ("full jitter"), so that callers who failed
    together do not return together.

    Args:
        elapsed_s: since the first try.
        dice: uniform in [0, 1).
    """
    if not failure.transient:
        return GiveUp(str(failure))
    if failure.retry_after_s is not None:
        # Up to 5 % later, so that the waiters do not arrive as one wave.
        wait = Wait(failure.retry_after_s * (1 + 0.05 * dice), for_all=True)
    else:
        ceiling = min(policy.cap_s, policy.base_s * 2.0 ** min(failures - 1, 32))
        wait = Wait(ceiling * dice)
    if elapsed_s + wait.seconds > policy.deadline_s:
        return GiveUp(f"{failure} (no answer within {policy.deadline_s:.0f} s, {failures} tries)")
    return wait


def retry_after_s(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds the server asks to wait: `retry-after-ms`, or `retry-after` as seconds or a date.

    None when absent or unreadable. `now` is aware.
    """
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        raw = headers.get(name)
        if raw is None:
            continue
        try:
            seconds = float(raw) * unit
        except ValueError:
            continue
        if math.isfinite(seconds) and seconds >= 0:
            return seconds
    try:
        moment = parsedate_to_datetime(headers.get("retry-after", ""))
        return max(0.0, (moment - now).total_seconds())
    except (ValueError, TypeError):  # not a date, or one without a zone
        return None
