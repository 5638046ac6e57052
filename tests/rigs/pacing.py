"""Callers behind our rate limiter against a strict one, in simulated time: minutes in a second."""

from __future__ import annotations

import heapq
import random
from collections import Counter
from dataclasses import dataclass

from ragwheel.grading.endpoint.limiter import RateLimiter
from ragwheel.grading.endpoint.retry import Attempts, CallFailure, RetryPolicy, Wait, decide
from ragwheel.stack.llm.allowance import Allowance, RateLimits


@dataclass(frozen=True, slots=True)
class Pacing:
    """What a simulation saw after its warm-up.

    Attributes:
        efficiency: admitted calls per allowed call.
        refused: share of calls that were answered with 429.
    """

    efficiency: float
    refused: float


def simulate(
    limits: RateLimits,
    *,
    with_headers: bool = True,
    callers: int = 32,
    tokens: int = 1_000,
    warm_up_s: float = 120.0,
    measured_s: float = 600.0,
    seed: int = 1,
) -> Pacing:
    """`callers` calls at a time, each of about `tokens`, of 0.3 to 1.5 s, over a jittery network.

    The same functions decide as in `ChatCaller`; only waiting is simulated.
    """
    dice, server = random.Random(seed), Allowance(limits, 0.0)
    limiter, policy = RateLimiter(), RetryPolicy()
    seen: Counter[str] = Counter()
    failures = [0] * callers
    ready = [(0.0, caller) for caller in range(callers)]
    end_s = warm_up_s + measured_s
    # What happens next: a caller wants to reserve, arrives at the server, or gets its answer.
    events = [(at, number, "wants", 0.0, 0) for number, (at, _) in enumerate(ready)]
    heapq.heapify(events)
    while events and events[0][0] < end_s:
        now, caller, what, sent_at, size = heapq.heappop(events)
        if what == "wants":
            size = round(tokens * dice.uniform(0.5, 1.5))
            wait_s = limiter.reserve(tokens, now)
            heapq.heappush(events, (now + wait_s, caller, "goes", 0.0, size))
        elif what == "goes":
            if limiter.is_held(now):
                heapq.heappush(events, (now, caller, "wants", 0.0, 0))
                continue
            limiter.sent(now)
            heapq.heappush(events, (now + dice.uniform(0.01, 0.05), caller, "there", now, size))
        elif what == "there":
            refused = server.take(size, now) > 0
            if now >= warm_up_s:
                seen["refused" if refused else "admitted"] += 1
            took_s = 0.02 if refused else dice.uniform(0.3, 1.5)
            kind = "refused" if refused else "answered"
            heapq.heappush(events, (now + took_s, caller, kind, sent_at, size))
        else:
            limiter.told(server.headers(now) if with_headers else {})
            pause_s = 0.0
            if what == "answered":
                failures[caller] = 0
                limiter.answered(tokens, size)
            else:
                failures[caller] += 1
                limiter.refused(sent_at, now)
                told = CallFailure("http", "too fast", 429, "rate_limit_exceeded")
                decision = decide(told, Attempts(failures[caller]), policy, dice.random())
                assert isinstance(decision, Wait)
                pause_s = decision.seconds
            heapq.heappush(events, (now + pause_s, caller, "wants", 0.0, 0))
    per_minute = [limits.requests_per_minute, limits.tokens_per_minute / tokens]
    allowed = measured_s / 60 * min(each for each in per_minute if each)
    return Pacing(seen["admitted"] / allowed, seen["refused"] / max(1, seen.total()))
