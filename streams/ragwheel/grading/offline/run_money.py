"""The limit of one run, for which nobody waits: what does not fit is left for the next."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

from ragwheel.grading.purse import Reservation
from ragwheel.schemas.budget import Amount


@dataclass
class RunMoney:
    """`Money` of a run.

    Attributes:
        limit: of the run; what other runs and graders spend is not known here.
    """

    limit: Amount
    _left: Amount = field(init=False)

    def __post_init__(self) -> None:
        self._left = self.limit

    async def reserve(self, amount: Amount) -> Reservation | str:
        """Set `amount` aside, or say that no money is left."""
        if not amount.fits(self._left):
            return "the limit of this run is spent (RAGWHEEL_DAILY_BUDGET_USD, …_TOKENS)"
        self._left -= amount
        return Reservation(datetime.now(UTC).date(), amount)

    def settle(self, reservation: Reservation, spent: Amount) -> None:
        """What a call did cost; the rest is there for the next."""
        self._left += reservation.amount - spent
