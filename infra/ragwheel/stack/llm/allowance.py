"""What a client may ask a minute, held strictly, and the headers that tell it. Pure.

Token buckets: they refill continuously, and a call takes from both or from none. A call is charged
its input tokens, as `usage` will report them.
"""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

_Count = Annotated[int, Field(ge=0)]


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class RateLimits:
    """What is allowed; 0 is no limit.

    Attributes:
        burst_s: how many seconds' worth may be asked for at once.
    """

    requests_per_minute: _Count = 0
    tokens_per_minute: _Count = 0
    burst_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 60.0


class RefilledBucket:
    """One limit. Times are seconds of any monotonic clock."""

    def __init__(self, per_minute: int, burst_s: float, now: float) -> None:
        """Full at first. At least one call fits, however short the burst."""
        self.limit = per_minute
        self._per_s = per_minute / 60
        self.capacity = max(1.0, self._per_s * burst_s)
        self._level, self._at = self.capacity, now

    def level(self, now: float) -> float:
        """What may be taken."""
        return min(self.capacity, self._level + (now - self._at) * self._per_s)

    def wait_s(self, amount: float, now: float) -> float:
        """Seconds until `amount` may be taken; 0 is now, infinite is never."""
        if amount > self.capacity:
            return math.inf
        return max(0.0, (amount - self.level(now)) / self._per_s)

    def take(self, amount: float, now: float) -> None:
        """Take what `wait_s` said is there."""
        self._level, self._at = self.level(now) - amount, now

    def headers(self, what: str, now: float) -> dict[str, str]:
        """`x-ratelimit-*` of this limit."""
        level = self.level(now)
        full_s = (self.capacity - level) / self._per_s
        return {
            f"x-ratelimit-limit-{what}": str(self.limit),
            f"x-ratelimit-remaining-{what}": str(math.floor(level)),
            f"x-ratelimit-reset-{what}": f"{math.ceil(full_s * 1000)}ms",
        }


class Allowance:
    """The limits of one server, and what was taken."""

    def __init__(self, limits: RateLimits, now: float) -> None:
        """Everything allowed at `now`."""
        named = {"requests": limits.requests_per_minute, "tokens": limits.tokens_per_minute}
        self._buckets = {
            what: RefilledBucket(most, limits.burst_s, now) for what, most in named.items() if most
        }

    def take(self, tokens: int, now: float) -> float:
        """Admit a call and return 0, or the seconds until it could be (infinite: never)."""
        amounts = {"requests": 1, "tokens": tokens}
        waits = [each.wait_s(amounts[what], now) for what, each in self._buckets.items()]
        wait = max(waits, default=0.0)
        if wait == 0.0:
            for what, bucket in self._buckets.items():
                bucket.take(amounts[what], now)
        return wait

    def headers(self, now: float, wait_s: float = 0.0) -> dict[str, str]:
        """What an answer tells; with a wait also Retry-After, in whole seconds and exactly."""
        told = [each.headers(what, now) for what, each in self._buckets.items()]
        found = {name: value for each in told for name, value in each.items()}
        if 0 < wait_s < math.inf:
            found["Retry-After"] = str(math.ceil(wait_s))
            found["retry-after-ms"] = str(math.ceil(wait_s * 1000))
        return found
