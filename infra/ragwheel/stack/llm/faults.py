"""What can go wrong with an LLM server, and when. Pure."""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, get_args

FaultKind = Literal[
    "rate_limit",  # 429 with Retry-After
    "server_error",  # 500
    "unauthorized",  # 401
    "quota",  # 429 insufficient_quota
    "hang",  # no answer until the client gives up
    "slow",  # an answer after `seconds`
    "disconnect",  # the connection closes without an answer
    "broken_body",  # the HTTP body is not JSON
    "broken_json",  # the model's text is not JSON
    "prose",  # the right JSON with prose around it
    "missing",  # one passage is left out
    "invented",  # one id is replaced by an invented one
    "duplicate",  # one id is given twice, with two grades
    "wrong_type",  # grades are texts
    "out_of_range",  # one grade is 7
    "truncated",  # finish_reason length, text cut
    "refusal",  # message.refusal
    "content_filter",  # finish_reason content_filter
]
FAULT_KINDS: tuple[FaultKind, ...] = get_args(FaultKind)


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault; `seconds` is Retry-After, or how long `slow` takes. `hang` takes an hour."""

    kind: FaultKind
    seconds: float = 1.0


class Faults:
    """Decides call by call: first what was scripted, then by rate with a fixed seed."""

    def __init__(self) -> None:
        """Nothing goes wrong until told."""
        self._scripted: deque[Fault] = deque()
        self._rates: list[tuple[float, Fault]] = []
        self._dice = random.Random(0)
        self.counts: Counter[str] = Counter()

    def script(self, fault: Fault, count: int = 1) -> None:
        """The next `count` calls (after those scripted before) suffer `fault`."""
        self._scripted.extend([fault] * count)

    def at_rates(self, rates: Iterable[tuple[float, Fault]], seed: int) -> None:
        """Each unscripted call suffers at most one of the faults, each at its rate.

        Raises:
            ValueError: a rate is not in [0, 1], or they add up to more than 1.
        """
        listed = list(rates)
        if any(not 0 <= rate <= 1 for rate, _ in listed) or sum(rate for rate, _ in listed) > 1:
            raise ValueError("rates must be in [0, 1] and add up to at most 1")
        self._rates = listed
        self._dice = random.Random(seed)

    def clear(self) -> None:
        """Nothing goes wrong any more. Counts stay."""
        self._scripted.clear()
        self._rates = []

    def next(self) -> Fault | None:
        """What happens to this call."""
        fault = self._scripted.popleft() if self._scripted else self._by_rate()
        if fault is not None:
            self.counts[fault.kind] += 1
        return fault

    def _by_rate(self) -> Fault | None:
        if not self._rates:
            return None
        mark = self._dice.random()
        for rate, fault in self._rates:
            mark -= rate
            if mark < 0:
                return fault
        return None


def parse_fault(raw: Any) -> Fault:
    """A fault from its JSON form `{"kind": …, "seconds": …}`.

    Raises:
        ValueError: names what is wrong and what is known.
    """
    if not isinstance(raw, dict) or raw.get("kind") not in FAULT_KINDS:
        raise ValueError(f"kind must be one of {', '.join(FAULT_KINDS)}")
    seconds = raw.get("seconds", 1.0)
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or seconds < 0:
        raise ValueError("seconds must be a number, 0 or more")
    return Fault(raw["kind"], float(seconds))
