"""Graders that share a real topic share one limit, whoever is killed and whoever comes later."""

from __future__ import annotations

import asyncio
from contextlib import closing
from datetime import UTC, datetime, timedelta

from ragwheel.backends import kafka
from ragwheel.backends.spending_log import SpendingLog
from ragwheel.grading.purse import Purse
from ragwheel.operations.overview import budget_state
from ragwheel.schemas.budget import NOTHING, Amount
from ragwheel.schemas.settings import KafkaSettings
from ragwheel.schemas.topics import TOPICS

LIMIT = Amount(1.0, 100_000)
CALL = Amount(0.07, 500)
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


async def _spend(purse: Purse, calls: int) -> Amount:
    """Spend until the calls are made or the purse is empty; what was spent."""
    spent = NOTHING
    for _ in range(calls):
        call = asyncio.create_task(purse.reserve(CALL))
        while not call.done() and not purse.empty:
            await asyncio.wait({call}, timeout=0.05)
        if not call.done():
            call.cancel()
            break
        purse.settle(await call, CALL)
        spent += CALL
    return spent


async def test_two_purses_one_killed_and_a_third_stay_within_one_limit(
    kafka_settings: KafkaSettings,
) -> None:
    kafka.create_topics(kafka_settings, topics=[TOPICS["spending"]])
    logs = [SpendingLog(kafka_settings) for _ in range(4)]
    with closing(logs[0]), closing(logs[1]), closing(logs[2]), closing(logs[3]):
        one, killed, third = (Purse(LIMIT, log, now=lambda: NOON) for log in logs[:3])
        both = await asyncio.gather(_spend(one, 5), _spend(killed, 4))
        # The second one says nothing more. The third one reads the log from its start.
        last = await _spend(third, 99)
        assert third.empty
        await one.close()
        await third.close()
        logs[3].catch_up()
        granted = logs[3].claims.of(NOON.date()).claimed
        spent = both[0] + both[1] + last
        assert spent.fits(granted)
        assert granted.fits(LIMIT)
        # Little is left unspent: less than a call.
        assert not (granted + CALL).fits(LIMIT)
        assert logs[3].claims.entries > 9
    told = budget_state(kafka_settings, NOON)
    assert told is not None
    assert (told.claimed_usd, told.limit_usd) == (granted.usd, LIMIT.usd)
    assert budget_state(kafka_settings, NOON + timedelta(days=1)) is None
