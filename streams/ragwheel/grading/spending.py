"""What answers cost this process, and whether a call may be sent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Protocol

from ragwheel.backends.telemetry import Telemetry
from ragwheel.grading.asking.prompt import Prompt
from ragwheel.grading.cost import Price
from ragwheel.grading.endpoint.calls import Completion
from ragwheel.grading.endpoint.request import most_tokens
from ragwheel.grading.endpoint.retry import GiveUp
from ragwheel.grading.purse import Reservation
from ragwheel.schemas import metrics
from ragwheel.schemas.budget import NOTHING, Amount


class Money(Protocol):
    """Where a call's price comes from."""

    limit: Amount

    async def reserve(self, amount: Amount) -> Reservation | str:
        """Set `amount` aside, perhaps after a wait; or why it cannot be. Who got it settles."""

    def settle(self, reservation: Reservation, spent: Amount) -> None:
        """What the call did cost."""


@dataclass
class Spending:
    """The accounts of all graders of a process: asked before each call, told after each answer.

    Attributes:
        prices: by model; a model without one costs nothing.
        purse: where the money comes from; None is no limit.
        now: the wall clock.
    """

    prices: Mapping[str, Price]
    telemetry: Telemetry
    purse: Money | None = None
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def __post_init__(self) -> None:
        self._day, self._spent_usd = self._today(), 0.0

    def price_of(self, model: str) -> Price | None:
        """What a model costs; None where nobody said."""
        return self.prices.get(model)

    async def reserve(self, model: str, prompt: Prompt) -> Reservation | str:
        """The most that asking `prompt` can cost, set aside; or why it will not be paid.

        Waits while there is no money. Whoever got a reservation settles it after the call.
        """
        if self.purse is None:
            return Reservation(self._today(), NOTHING)
        tokens = most_tokens(prompt.system, prompt.user, len(prompt.chunk_of_id))
        amount = self._amount(model, *tokens)
        if not amount.fits(self.purse.limit):
            return (
                f"one call may cost {amount.usd:.4g} USD and {amount.tokens} tokens, more than "
                "the limit of a whole day"
            )
        return await self.purse.reserve(amount)

    def settle(self, model: str, reserved: Reservation, result: Completion | GiveUp) -> None:
        """Count a call that ended; what an answer costs, it costs whatever it is worth."""
        spent = NOTHING
        if isinstance(result, Completion):
            spent = self._pay(model, result)
        if self.purse is not None:
            self.purse.settle(reserved, spent)

    def today_usd(self) -> float:
        """Spent by this process since midnight UTC."""
        if self._day != self._today():
            self._day, self._spent_usd = self._today(), 0.0
        return self._spent_usd

    def _pay(self, model: str, completion: Completion) -> Amount:
        tokens = (completion.input_tokens, completion.output_tokens)
        for direction, count in zip(("input", "output"), tokens, strict=True):
            self.telemetry.inc(metrics.LLM_TOKENS, count, model=model, direction=direction)
        spent = self._amount(model, *tokens)
        self._spent_usd = self.today_usd() + spent.usd
        self.telemetry.inc(metrics.LLM_COST, spent.usd, model=model)
        return spent

    def _amount(self, model: str, input_tokens: int, output_tokens: int) -> Amount:
        price = self.price_of(model)
        usd = price.cost_usd(input_tokens, output_tokens) if price else 0.0
        return Amount(usd, input_tokens + output_tokens)

    def _today(self) -> date:
        return self.now().astimezone(UTC).date()
