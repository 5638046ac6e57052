"""Workers that share a day's money spend no more of it together, whoever dies or waits."""

from __future__ import annotations

import asyncio
import random
from typing import cast

import pytest
from tests.unit.grading.paying import DayClock, MemoryClaims, SharedLog, purse
from tests.unit.grading.scripted import NOW

from ragwheel.grading.purse import Purse
from ragwheel.schemas.budget import NOTHING, Amount

CALL = Amount(0.3, 100)


async def spend(worker: Purse, amount: Amount = CALL, cost: Amount = CALL) -> None:
    worker.settle(await worker.reserve(amount), cost)


async def test_two_workers_spend_one_limit_and_the_third_call_waits_for_midnight() -> None:
    log, clock = SharedLog(), DayClock()
    one, two = (purse(0.7, log=log, clock=clock) for _ in range(2))
    await spend(one)
    await spend(two)
    assert clock.now() == NOW
    waiting = asyncio.create_task(two.reserve(CALL))
    while not two.empty:
        await asyncio.sleep(0.001)
    reservation = await waiting
    assert reservation.day > NOW.date()
    assert not two.empty
    assert log.granted().fits(Amount(0.7, 1e9))


async def test_a_worker_that_dies_takes_no_more_than_its_slice_with_it() -> None:
    log = SharedLog()
    await spend(purse(1_000.0, log=log), Amount(0.2, 10), Amount(0.2, 10))  # and is never closed
    assert log.granted().usd == 1.0  # a thousandth was claimed ahead
    heir = purse(1_000.0, log=log)
    await spend(heir, Amount(999.0, 10))
    assert log.granted().usd == 1_000.0


async def test_a_worker_that_stops_returns_what_it_did_not_spend() -> None:
    log = SharedLog()
    worker = purse(1_000.0, log=log)
    await spend(worker, Amount(0.75, 10), Amount(0.25, 10))
    await worker.close()
    assert log.granted().usd == pytest.approx(0.25)


async def test_a_call_under_way_at_the_end_counts_with_the_most_it_can_cost() -> None:
    log = SharedLog()
    worker = purse(1_000.0, log=log)
    await worker.reserve(Amount(0.75, 10))
    await worker.close()
    assert log.granted().usd == pytest.approx(0.75)


async def test_what_another_returns_is_there_for_who_waits() -> None:
    log, clock = SharedLog(), DayClock()
    one, two = (purse(0.5, log=log, clock=clock) for _ in range(2))
    await spend(one, CALL, Amount(0.01, 5))
    waiting = asyncio.create_task(two.reserve(CALL))
    while not two.empty:
        await asyncio.sleep(0.001)
    await one.close()
    assert (await waiting).day == NOW.date()


async def test_a_limit_in_tokens_holds_as_one_in_money_does() -> None:
    log = SharedLog()
    worker = purse(tokens=250, log=log)
    await spend(worker)
    await spend(worker)
    waiting = asyncio.create_task(worker.reserve(CALL))
    assert (await waiting).day > NOW.date()
    assert log.granted().tokens == 200


async def test_an_answer_that_cost_more_than_was_reserved_is_made_up_for() -> None:
    log = SharedLog()
    worker = purse(10.0, log=log)
    await spend(worker, CALL, Amount(2.0, 100))
    await worker.reserve(CALL)
    assert log.granted().usd == pytest.approx(2.3)


async def test_a_claim_whose_answer_was_lost_is_given_again_and_counts_once() -> None:
    log = SharedLog()
    worker = purse(10.0, log=log)
    cast(MemoryClaims, worker.log).down = 2
    await worker.reserve(CALL)
    assert len(log.entries) == 3
    assert log.granted() == CALL


async def test_a_caller_that_is_stopped_stops_nobody_elses_claim() -> None:
    worker = purse(10.0)
    stopped, other = (asyncio.create_task(worker.reserve(CALL)) for _ in range(2))
    await asyncio.sleep(0)
    stopped.cancel()
    assert (await other).amount == CALL


@pytest.mark.parametrize("seed", range(5))
async def test_many_workers_at_once_never_claim_more_than_the_limit(seed: int) -> None:
    dice = random.Random(seed)
    log, clock = SharedLog(), DayClock()
    workers = [purse(5.0, 20_000, log=log, clock=clock) for _ in range(4)]
    spent = NOTHING

    async def work(worker: Purse) -> None:
        nonlocal spent
        for _ in range(30):
            most = Amount(dice.uniform(0.01, 0.2), dice.randrange(50, 500))
            reserved = await worker.reserve(most)
            if reserved.day > NOW.date():
                return
            cost = Amount(most.usd * dice.random(), dice.randrange(50))
            spent += cost
            worker.settle(reserved, cost)
            if dice.random() < 0.1:
                return  # killed, without a word

    await asyncio.gather(*map(work, workers))
    assert spent.fits(log.granted())
    assert log.granted().fits(Amount(5.0, 20_000))
