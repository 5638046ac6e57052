"""A strict rate limiter, as providers have them, with true headers. Pure: the time is passed in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass
class _Allowance:
    per_minute: float
    burst: float
    level: float = field(init=False)
    at: float = 0.0

    def __post_init__(self) -> None:
        self.level = self.burst

    def refill(self, now: float) -> None:
        self.level = min(self.burst, self.level + (now - self.at) * self.per_minute / 60)
        self.at = now

    def reset_s(self) -> float:
        """Until everything is there again."""
        return (self.burst - self.level) * 60 / self.per_minute


@dataclass
class StrictLimiter:
    """Requests and tokens per minute, enforced over `burst_s` seconds.

    Refused requests are not counted against the limit.

    Attributes:
        with_headers: whether limits are told.
    """

    requests_per_minute: float
    tokens_per_minute: float = 1e12
    burst_s: float = 1.0
    with_headers: bool = True

    def __post_init__(self) -> None:
        per_minute = (self.requests_per_minute, self.tokens_per_minute)
        self._requests, self._tokens = (
            _Allowance(each, max(1.0, each / 60 * self.burst_s)) for each in per_minute
        )

    def admit(self, tokens: int, now: float) -> float | None:
        """None, and the call counts; else how long it should have waited, seconds."""
        needs = ((self._requests, 1.0), (self._tokens, float(tokens)))
        for allowance, _ in needs:
            allowance.refill(now)
        # A call that is larger than the burst may go when the allowance is full.
        short = [
            (min(need, allowance.burst) - allowance.level) * 60 / allowance.per_minute
            for allowance, need in needs
        ]
        if max(short) > 0:
            return max(short)
        for allowance, need in needs:
            allowance.level -= need
        return None

    def headers(self) -> Mapping[str, str]:
        """`x-ratelimit-*`, in the form of OpenAI, as of the last `admit`."""
        if not self.with_headers:
            return {}
        named = (("requests", self._requests), ("tokens", self._tokens))
        told = {}
        for name, allowance in named:
            told[f"x-ratelimit-limit-{name}"] = f"{allowance.per_minute:.0f}"
            told[f"x-ratelimit-remaining-{name}"] = f"{max(0, int(allowance.level))}"
            told[f"x-ratelimit-reset-{name}"] = f"{allowance.reset_s():.3f}s"
        return told
