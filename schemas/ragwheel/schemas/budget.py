"""One day's money for all workers: the fold over the log of claims that decides who has it. Pure.

The topic `spending` has one partition, so its entries have one order, and whoever folds them gets
the same answer: there is no leader, and nothing to agree on but the log. A claim is granted if it
fits into its limit together with those that were granted before it. What is granted counts as spent
unless it is returned, so a worker that dies takes at most its own small claim with it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

from ragwheel.schemas.events import SpendingEntry

#: The day is looked at in steps of so many seconds.
STEP_S = 300
STEPS = 86_400 // STEP_S
#: Days that are remembered: a return may come after midnight.
_DAYS = 3


@dataclass(frozen=True, slots=True)
class Amount:
    """Money and tokens; as a limit, infinite where there is none."""

    usd: float = 0.0
    tokens: float = 0

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.usd + other.usd, self.tokens + other.tokens)

    def __sub__(self, other: Amount) -> Amount:
        return Amount(self.usd - other.usd, self.tokens - other.tokens)

    def fits(self, other: Amount) -> bool:
        """Whether it is not more than `other`, neither in money nor in tokens."""
        return self.usd <= other.usd and self.tokens <= other.tokens

    def least(self, other: Amount) -> Amount:
        """The smaller money and the smaller tokens of the two."""
        return Amount(min(self.usd, other.usd), min(self.tokens, other.tokens))

    def most(self, other: Amount) -> Amount:
        """The larger money and the larger tokens of the two."""
        return Amount(max(self.usd, other.usd), max(self.tokens, other.tokens))


NOTHING = Amount()
UNLIMITED = Amount(float("inf"), float("inf"))


def limit_of(usd: float, tokens: int) -> Amount:
    """The limit that settings and entries write; 0 is none."""
    return Amount(usd or UNLIMITED.usd, tokens or UNLIMITED.tokens)


@dataclass
class Day:
    """What the log says of one UTC day.

    Attributes:
        limit: the one of the newest claim.
        claimed: granted and not returned.
        by_step: the same by the step of the day in which it was written.
    """

    limit: Amount = NOTHING
    claimed: Amount = NOTHING
    by_step: list[Amount] = field(default_factory=lambda: [NOTHING] * STEPS)
    _by_worker: dict[str, Amount] = field(default_factory=dict)
    _verdicts: dict[str, bool] = field(default_factory=dict)

    def apply(self, entry: SpendingEntry, step: int) -> None:
        """The next entry of the log. A copy of an earlier one changes nothing."""
        if entry.entry_id in self._verdicts:
            return
        amount = Amount(entry.usd, entry.tokens)
        of_worker = self._by_worker.get(entry.worker, NOTHING)
        if entry.kind == "return":  # never more than what the worker has
            granted, amount = True, NOTHING - amount.least(of_worker)
        else:
            self.limit = limit_of(entry.limit_usd, entry.limit_tokens)
            granted = (self.claimed + amount).fits(self.limit)
        self._verdicts[entry.entry_id] = granted
        if granted:
            self._by_worker[entry.worker] = of_worker + amount
            self.claimed += amount
            self.by_step[step] += amount

    def verdict(self, entry_id: str) -> bool | None:
        """Whether a claim was granted; None while it was not read."""
        return self._verdicts.get(entry_id)


@dataclass
class Claims:
    """What the log says, as far as it was read.

    Attributes:
        days: the newest three that have entries.
        entries: how many were applied.
    """

    days: dict[date, Day] = field(default_factory=dict)
    entries: int = 0

    def apply(self, entry: SpendingEntry, at: datetime) -> None:
        """The next entry of the log, written at `at` by the broker's clock."""
        self.entries += 1
        day = self.days.setdefault(entry.day, Day())
        day.apply(entry, step_of(at) if at.astimezone(UTC).date() <= entry.day else STEPS - 1)
        for old in sorted(self.days)[:-_DAYS]:
            del self.days[old]

    def of(self, day: date) -> Day:
        """One day; an empty one where nothing was read."""
        return self.days.get(day) or Day()

    def room(self, day: date, limit: Amount) -> Amount:
        """What may still be claimed of a limit."""
        return (limit - self.of(day).claimed).most(NOTHING)


def step_of(at: datetime) -> int:
    """Step of the UTC day that a moment is in, from 0."""
    at = at.astimezone(UTC)
    return (at.hour * 3_600 + at.minute * 60 + at.second) // STEP_S


def midnight_after(at: datetime) -> datetime:
    """When the money of the next UTC day is there."""
    at = at.astimezone(UTC)
    return at.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
