"""How fast calls may go: buckets for requests and tokens, fed by what the server tells. Pure.

Whoever wants to call reserves a place in time and waits until then, so waiters leave in their order
and never as one wave. The pace comes from the `x-ratelimit-*` headers where there are any; where
there are none, from the 429s: after one the pace falls, then rises quickly to just below where it
was refused, and from there ever faster until the next (as TCP CUBIC looks for its window).
Headers are hints: nonsense in them is ignored. Times are on a monotonic clock, seconds.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

#: Share of what headers allow that is used: clocks and networks differ a little.
_HEADROOM = 0.98
#: The pace after a 429, and up to where it recovers quickly, as shares of the refused pace.
_AFTER_REFUSAL, _KNOWN_GOOD = 0.95, 0.985
_RECOVERY = 1.005
#: Growth with the first answer beyond what is known to be good, and of that growth with each
#: answer: +2 % after 250 answers, doubled after 780.
_GROWTH, _GROWTH_OF_GROWTH = 0.00003, 1.007
#: Requests per second, below which 429s push no pace: some servers answer 429 when they are short
#: of machines, whatever our pace.
_SLOWEST = 1.0
#: The pace that calls really had is measured over so many.
_MEASURED_CALLS = 64
_LONGEST_HEADER = 32


@dataclass(slots=True)
class Bucket:
    """A budget per second. It may go into debt, and the debt is the waiting time of the next."""

    rate: float = math.inf
    level: float = 0.0
    at: float = 0.0

    def wait_s(self, now: float) -> float:
        """How long until the debt is paid."""
        if math.isinf(self.rate):
            self.level = 0.0
        else:
            # Unused budget is not saved up: limits per minute are enforced over seconds, too.
            self.level = min(0.0, self.level + self.rate * max(0.0, now - self.at))
        self.at = max(self.at, now)
        return -self.level / self.rate

    def take(self, amount: float) -> None:
        """Spend, after `wait_s` of the same moment. A negative amount gives back."""
        if not math.isinf(self.rate):
            self.level -= amount


@dataclass(slots=True)
class LearntPace:
    """Requests per second that one model gets: learnt from 429s, bounded by the headers.

    Attributes:
        limit: what headers allow, with headroom; inf where there are none.
        rate: at which calls go now.
        refused_at: the pace that was last refused.
    """

    limit: float = math.inf
    rate: float = math.inf
    refused_at: float = math.inf
    changed_at: float = -math.inf
    growth: float = _GROWTH

    def told(self, limit: float) -> None:
        """The headers allow `limit` requests per second."""
        limit *= _HEADROOM
        if not math.isclose(limit, self.limit):
            self.limit = self.rate = limit
            self.refused_at = math.inf

    def answered(self) -> None:
        """A call was answered: go a little faster, if there is a reason to go slowly at all."""
        if math.isinf(self.rate):
            return
        good = min(self.limit, self.refused_at * _KNOWN_GOOD)
        if self.rate < good:
            self.rate = min(good, self.rate * _RECOVERY)
        else:
            self.rate = min(self.limit, self.rate * (1 + self.growth))
            self.growth *= _GROWTH_OF_GROWTH

    def refused(self, sent_at: float, now: float, measured: float) -> None:
        """A call was answered with 429. Those sent before the last change tell nothing new."""
        if sent_at < self.changed_at:
            return
        self.refused_at = min(self.rate, max(measured, _SLOWEST))
        self.rate = max(min(self.limit, _SLOWEST), self.refused_at * _AFTER_REFUSAL)
        self.growth, self.changed_at = _GROWTH, now


@dataclass
class RateLimiter:
    """When the next call to one model may go."""

    requests: Bucket = field(default_factory=Bucket)
    tokens: Bucket = field(default_factory=Bucket)
    pace: LearntPace = field(default_factory=LearntPace)
    #: What the server counted per token that was estimated.
    tokens_per_estimate: float = 1.0
    _held_until: float = -math.inf
    _sent: deque[float] = field(default_factory=lambda: deque(maxlen=_MEASURED_CALLS))

    def reserve(self, estimated_tokens: int, now: float) -> float:
        """A place in time for a call: how long to wait for it, seconds.

        After the wait `is_held` says whether it still holds, or must be reserved anew.
        """
        start = max(now, self._held_until)
        self.requests.rate = self.pace.rate
        wait_s = max(0.0, self.requests.wait_s(start), self.tokens.wait_s(start))
        self.requests.take(1)
        self.tokens.take(estimated_tokens * self.tokens_per_estimate)
        return start - now + wait_s

    def sent(self, now: float) -> None:
        """A call goes now."""
        self._sent.append(now)

    def is_held(self, now: float) -> bool:
        """Whether the server wants to be left alone."""
        return now < self._held_until

    def hold(self, seconds: float, now: float) -> None:
        """Let no call go for `seconds`, however many; afterwards they go one after the other."""
        if now + seconds > self._held_until:
            self._held_until = now + seconds
            for bucket in (self.requests, self.tokens):
                bucket.level, bucket.at = 0.0, self._held_until

    def told(self, headers: Mapping[str, str]) -> None:
        """Learn from the headers of any response."""
        limit = header_count(headers, "x-ratelimit-limit-requests")
        if limit is not None:
            self.pace.told(limit / 60)
        limit = header_count(headers, "x-ratelimit-limit-tokens")
        if limit is not None:
            self.tokens.rate = limit / 60 * _HEADROOM

    def answered(self, estimated_tokens: int, used_tokens: int) -> None:
        """A call was answered and counted as `used_tokens`."""
        self.pace.answered()
        self.tokens.take(used_tokens - estimated_tokens * self.tokens_per_estimate)
        if estimated_tokens > 0 and used_tokens > 0:
            self.tokens_per_estimate += 0.1 * (
                used_tokens / estimated_tokens - self.tokens_per_estimate
            )

    def refused(self, sent_at: float, now: float) -> None:
        """A call was answered with 429."""
        recent = [sent for sent in self._sent if sent <= sent_at]
        span_s = now - recent[0] if recent else 0.0
        self.pace.refused(sent_at, now, len(recent) / span_s if span_s > 0 else 0.0)


def header_count(headers: Mapping[str, str], name: str) -> float | None:
    """A positive whole number of a header; None where it is absent, 0, -1 or nonsense."""
    raw = headers.get(name, "").strip()
    if len(raw) > _LONGEST_HEADER or not raw.isascii() or not raw.isdigit():
        return None
    return float(raw) or None
