"""What answers cost this process, and the limit per UTC day."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime

from ragwheel.backends.telemetry import Telemetry
from ragwheel.grading.cost import Price
from ragwheel.grading.endpoint.calls import Completion
from ragwheel.schemas import metrics


class Spending:
    """One purse for all graders of a process: asked before each call, told after each answer.

    Calls that are under way when the limit is reached are still paid.

    Args:
        prices: by model; a model without one costs nothing.
        limit_usd: per UTC day; None is no limit.
        spent_today_usd: what earlier runs of this UTC day spent.
        now: the wall clock.
    """

    def __init__(
        self,
        prices: Mapping[str, Price],
        telemetry: Telemetry,
        *,
        limit_usd: float | None = None,
        spent_today_usd: float = 0.0,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._prices = prices
        self._telemetry = telemetry
        self._limit_usd = limit_usd
        self._now = now
        self._day = self._today()
        self._spent_usd = spent_today_usd

    def price_of(self, model: str) -> Price | None:
        """What a model costs; None where nobody said."""
        return self._prices.get(model)

    def refusal(self) -> str:
        """Why no further call may start today; empty while one may."""
        if self._limit_usd is None or self.today_usd() < self._limit_usd:
            return ""
        return f"the daily budget of {self._limit_usd} USD is spent"

    def pay(self, model: str, completion: Completion) -> None:
        """Count a call that was answered, whatever the answer is worth."""
        tokens = (completion.input_tokens, completion.output_tokens)
        for direction, count in zip(("input", "output"), tokens, strict=True):
            self._telemetry.inc(metrics.LLM_TOKENS, count, model=model, direction=direction)
        price = self.price_of(model)
        if price is None:
            return
        cost_usd = price.cost_usd(*tokens)
        self._spent_usd = self.today_usd() + cost_usd
        self._telemetry.inc(metrics.LLM_COST, cost_usd, model=model)

    def today_usd(self) -> float:
        """Spent since midnight UTC."""
        if self._day != self._today():
            self._day, self._spent_usd = self._today(), 0.0
        return self._spent_usd

    def _today(self) -> date:
        return self._now().astimezone(UTC).date()
