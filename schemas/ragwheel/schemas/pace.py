"""How much less is sampled so that the day's money lasts to its end: a fold over the claims. Pure.

In steps of five minutes: what was spent lately, divided by the factors in force then, is what
unpaced sampling would spend; what is left, divided by the steps that are left, is what may be.
Their ratio is the next factor. So every reader of the log has the same factor for a moment, then
and later, and no factor has to be sent to anybody.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from statistics import mean

from ragwheel.schemas.budget import NOTHING, STEPS, Amount, Claims, Day, step_of

#: What was spent in so many steps tells the rate: an hour.
_RECENT = 12
#: With less of the limit left, a call may find no money: as if there were none.
_NOTHING_LEFT = 0.01
#: The sample never ends: a factor of 0 would say nothing of the evening, and be no probability.
LEAST = 0.01


def factors(shares: Sequence[tuple[float, float]], start: float) -> list[float]:
    """The factor of each step of a day: a function of what was spent in earlier steps.

    Args:
        shares: of the limits in money and in tokens, by the step in which they were spent.
        start: the factor before anything is known.
    """
    found: list[float] = []
    spent_before = [0.0, 0.0]
    for step in range(STEPS):
        recent = range(max(0, step - _RECENT), step)
        in_force = sum(found[each] for each in recent)
        factor = 1.0 if step else start
        for limit, before in enumerate(spent_before):
            spent = sum(shares[each][limit] for each in recent)
            left = 1.0 - before
            if left < _NOTHING_LEFT:
                factor = LEAST
            elif spent > 0:
                factor = min(factor, left / (STEPS - step) / (spent / in_force))
            spent_before[limit] += shares[step][limit]
        found.append(max(LEAST, factor))
    return found


@dataclass
class DayPace:
    """The factor of any moment of the days that the claims tell of."""

    claims: Claims
    _known: dict[date, list[float]] = field(default_factory=dict, init=False)
    _entries: int = field(default=0, init=False)

    def factor(self, at: datetime, now: datetime) -> float:
        """What sampling rates are multiplied with at a moment, in (0, 1].

        A search of the last 24 hours has the factor of its own time, however late it is read, so
        it is sampled alike each time. Another is part of no day's traffic and has that of `now`.
        """
        at = at if timedelta() <= now - at < timedelta(days=1) else now
        if self._entries != self.claims.entries:
            self._entries = self.claims.entries
            self._known.clear()
        day = at.astimezone(UTC).date()
        if day not in self._known:
            self._known[day] = self._factors(day)
        return self._known[day][step_of(at)]

    def _factors(self, day: date) -> list[float]:
        start, before = 1.0, self.claims.of(day - timedelta(days=1))
        if before.claimed != NOTHING:
            start = mean(factors(_shares(before), 1.0))
        return factors(_shares(self.claims.of(day)), start)


def _shares(day: Day) -> list[tuple[float, float]]:
    def share(of: Amount) -> tuple[float, float]:
        return max(0.0, of.usd / day.limit.usd), max(0.0, of.tokens / day.limit.tokens)

    if day.claimed == NOTHING:
        return [(0.0, 0.0)] * STEPS
    return [share(each) for each in day.by_step]
