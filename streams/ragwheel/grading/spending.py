"""What answers cost this process, and the limit per UTC day."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime

from ragwheel.backends.telemetry import Telemetry
from ragwheel.grading.cost import Price
from ragwheel.grading.endpoint.calls import Completion
from ragwheel.schemas import metrics


@dataclass
class Spending:
    """One purse for all graders of a process: asked before each call, told after each answer.

    Calls that are under way when the limit is reached are still paid.

    Attributes:
        prices: by model; a model without one costs nothing.
        limit_usd: per UTC day; None is no limit.
        spent_today_usd: at first what earlier runs of this UTC day spent.
        now: the wall clock.
    """

    prices: Mapping[str, Price]
    telemetry: Telemetry
    limit_usd: float | None = None
    spent_today_usd: float = 0.0
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def __post_init__(self) -> None:
        self._day = self._today()

    def price_of(self, model: str) -> Price | None:
        """What a model costs; None where nobody said."""
        return self.prices.get(model)

    def refusal(self) -> str:
        """Why no further call may start today; empty while one may."""
        if self.limit_usd is None or self.today_usd() < self.limit_usd:
            return ""
        return f"the daily budget of {self.limit_usd} USD is spent"

    def pay(self, model: str, completion: Completion) -> None:
        """Count a call that was answered, whatever the answer is worth."""
        tokens = (completion.input_tokens, completion.output_tokens)
        for direction, count in zip(("input", "output"), tokens, strict=True):
            self.telemetry.inc(metrics.LLM_TOKENS, count, model=model, direction=direction)
        price = self.price_of(model)
        if price is None:
            return
        cost_usd = price.cost_usd(*tokens)
        self.spent_today_usd = self.today_usd() + cost_usd
        self.telemetry.inc(metrics.LLM_COST, cost_usd, model=model)

    def today_usd(self) -> float:
        """Spent since midnight UTC."""
        if self._day != self._today():
            self._day, self.spent_today_usd = self._today(), 0.0
        return self.spent_today_usd

    def _today(self) -> date:
        return self.now().astimezone(UTC).date()
