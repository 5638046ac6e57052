"""What is spent, and what a call sets aside before it is sent."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.unit.grading.paying import DayClock, SharedLog, purse

from ragwheel.backends.telemetry import Telemetry
from ragwheel.grading.asking.prompt import Prompt
from ragwheel.grading.cost import Price
from ragwheel.grading.endpoint.calls import Completion
from ragwheel.grading.endpoint.retry import GiveUp
from ragwheel.grading.purse import Reservation
from ragwheel.grading.spending import Spending
from ragwheel.schemas import metrics

#: 0.7 USD at the price of "a".
ANSWER = Completion("complete", "", input_tokens=500_000, output_tokens=100_000, latency_s=1.0)
PRICES = {"a": Price(1.0, 2.0), "b": Price(0.0, 100.0)}
PROMPT = Prompt("system", "ü" * 1_000, {"1": "a" * 32})


async def reserved(spending: Spending, model: str = "a") -> Reservation:
    found = await spending.reserve(model, PROMPT)
    assert isinstance(found, Reservation)
    return found


async def test_a_call_reserves_what_its_bytes_and_its_longest_answer_may_cost() -> None:
    log = SharedLog()
    spending = Spending(PRICES, Telemetry(), purse(0.01, log=log))
    amount = (await reserved(spending)).amount
    output = 1_024 + 32
    assert amount.tokens > 2_000 + output  # two bytes a letter, the schema, the frame
    assert amount.usd == pytest.approx(PRICES["a"].cost_usd(int(amount.tokens) - output, output))
    assert log.granted().usd == pytest.approx(amount.usd)


async def test_a_call_that_no_day_can_pay_is_refused_with_the_reason() -> None:
    log = SharedLog()
    found = await Spending(PRICES, Telemetry(), purse(0.001, log=log)).reserve("a", PROMPT)
    assert isinstance(found, str)
    assert "more than the limit of a whole day" in found
    assert log.entries == []


async def test_an_answer_is_paid_and_a_call_without_one_costs_nothing() -> None:
    log = SharedLog()
    spending = Spending(PRICES, Telemetry(), money := purse(10.0, log=log))
    spending.settle("a", await reserved(spending), ANSWER)
    spending.settle("a", await reserved(spending), GiveUp("timeout"))
    await money.close()
    assert log.granted().usd == pytest.approx(0.7)


async def test_tokens_and_money_are_counted_by_model_and_an_unpriced_one_is_free() -> None:
    telemetry, clock = Telemetry(), DayClock()
    spending = Spending(PRICES, telemetry, now=clock.now)
    for model in ("a", "unpriced"):
        spending.settle(model, await reserved(spending, model), ANSWER)
        assert telemetry.value(metrics.LLM_TOKENS, model=model, direction="input") == 500_000
        assert telemetry.value(metrics.LLM_TOKENS, model=model, direction="output") == 100_000
    assert telemetry.value(metrics.LLM_COST, model="a") == pytest.approx(0.7)
    assert telemetry.value(metrics.LLM_COST, model="unpriced") == 0
    assert spending.today_usd() == pytest.approx(0.7)
    clock.time += timedelta(hours=12)
    assert spending.today_usd() == 0.0
