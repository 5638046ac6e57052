"""What is spent, and when nothing more may be."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ragwheel.backends.telemetry import Telemetry
from ragwheel.grading.cost import Price
from ragwheel.grading.endpoint.calls import Completion
from ragwheel.grading.spending import Spending
from ragwheel.schemas import metrics

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
#: 0.7 USD at the price of "a".
ANSWER = Completion("complete", "", input_tokens=500_000, output_tokens=100_000, latency_s=1.0)
PRICES = {"a": Price(1.0, 2.0), "b": Price(0.0, 100.0)}


class Day:
    """A wall clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.time = NOON

    def now(self) -> datetime:
        return self.time


def test_the_budget_closes_when_spent_and_opens_at_midnight_utc() -> None:
    day = Day()
    spending = Spending(PRICES, Telemetry(), limit_usd=1.0, spent_today_usd=0.4, now=day.now)
    assert spending.refusal() == ""
    spending.pay("a", ANSWER)
    assert spending.refusal() == "the daily budget of 1.0 USD is spent"
    assert spending.today_usd() == pytest.approx(1.1)
    day.time += timedelta(hours=12)
    assert spending.refusal() == ""
    assert spending.today_usd() == 0.0


def test_without_a_limit_nothing_is_ever_refused() -> None:
    spending = Spending(PRICES, Telemetry(), spent_today_usd=1e9)
    spending.pay("b", ANSWER)
    assert spending.refusal() == ""


def test_all_models_draw_on_one_budget() -> None:
    spending = Spending(PRICES, Telemetry(), limit_usd=5.0, now=Day().now)
    spending.pay("a", ANSWER)
    assert spending.refusal() == ""
    spending.pay("b", ANSWER)
    assert spending.refusal() != ""


def test_tokens_and_money_are_counted_by_model_and_an_unpriced_one_is_free() -> None:
    telemetry = Telemetry()
    spending = Spending(PRICES, telemetry, now=Day().now)
    for model in ("a", "unpriced"):
        spending.pay(model, ANSWER)
        assert telemetry.value(metrics.LLM_TOKENS, model=model, direction="input") == 500_000
        assert telemetry.value(metrics.LLM_TOKENS, model=model, direction="output") == 100_000
    assert telemetry.value(metrics.LLM_COST, model="a") == pytest.approx(0.7)
    assert telemetry.value(metrics.LLM_COST, model="unpriced") == 0
    assert spending.today_usd() == pytest.approx(0.7)
