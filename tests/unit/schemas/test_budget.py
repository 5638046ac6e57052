"""The log of claims decides: whoever folds it has the same answer, and no day is overdrawn."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.rigs.examples import NOW

from ragwheel.schemas.budget import (
    STEPS,
    UNLIMITED,
    Amount,
    Claims,
    limit_of,
    midnight_after,
    step_of,
)
from ragwheel.schemas.events import SpendingEntry

DAY = NOW.date()


def entry(name: int, usd: float = 0.0, tokens: int = 0, **changes: Any) -> SpendingEntry:
    fields = {
        "entry_id": f"{name:032x}", "kind": "claim", "worker": "w", "day": DAY, "usd": usd,
        "tokens": tokens, "limit_usd": 1.0, "limit_tokens": 1_000, "ts": NOW,
    }  # fmt: skip
    return SpendingEntry.model_validate(fields | changes)


def folded(*entries: SpendingEntry) -> Claims:
    claims = Claims()
    for each in entries:
        claims.apply(each, NOW)
    return claims


def verdicts(*entries: SpendingEntry) -> list[bool | None]:
    claims = folded(*entries)
    return [claims.of(each.day).verdict(each.entry_id) for each in entries]


def test_a_claim_is_granted_while_it_fits_and_a_smaller_one_after_a_refusal_still_is() -> None:
    assert verdicts(entry(1, 0.6), entry(2, 0.5), entry(3, 0.4), entry(4, 0.01)) == [
        True, False, True, False,
    ]  # fmt: skip
    assert verdicts(entry(1, tokens=999), entry(2, tokens=2)) == [True, False]


def test_a_return_makes_room_but_never_more_than_its_worker_has() -> None:
    back: Any = {"kind": "return", "limit_usd": 0.0}
    claims = folded(entry(1, 0.6), entry(2, 0.4, worker="x"), entry(3, 9.0, **back))
    assert claims.of(DAY).claimed == Amount(0.4)
    assert claims.room(DAY, limit_of(1.0, 0)).usd == 0.6


def test_a_copy_counts_once_and_each_day_has_its_own_money() -> None:
    tomorrow = DAY + timedelta(days=1)
    claims = folded(entry(1, 0.9), entry(1, 0.9), entry(2, 0.8, day=tomorrow))
    assert claims.of(DAY).claimed.usd == 0.9
    assert claims.of(tomorrow).claimed.usd == 0.8


def test_no_limit_is_no_limit() -> None:
    assert limit_of(0.0, 0) == UNLIMITED
    assert verdicts(entry(1, 1e6, 10**9, limit_usd=0.0, limit_tokens=0)) == [True]


def test_any_interleaving_gives_all_readers_the_same_answer_within_the_limit() -> None:
    dice = random.Random(7)
    for _ in range(200):
        entries = [
            entry(
                number,
                dice.random() * 0.3,
                dice.randrange(300),
                worker=dice.choice("abc"),
                kind=dice.choice(("claim", "claim", "claim", "return")),
            )
            for number in range(30)
        ]
        entries += dice.sample(entries, 5)  # sent again
        dice.shuffle(entries)
        one, other = folded(*entries), Claims()
        for each in entries:
            other.apply(each, NOW)
            assert other.of(DAY).claimed.fits(Amount(1.0, 1_000))
        assert one.of(DAY) == other.of(DAY)


def test_only_the_newest_days_are_remembered() -> None:
    claims = folded(*(entry(n, 0.1, day=DAY + timedelta(days=n)) for n in range(9)))
    assert sorted(claims.days) == [DAY + timedelta(days=n) for n in (6, 7, 8)]


def test_the_steps_of_a_day_are_those_of_utc() -> None:
    assert step_of(datetime(2026, 11, 23, tzinfo=UTC)) == 0
    assert step_of(datetime(2026, 11, 23, 23, 59, 59, tzinfo=UTC)) == STEPS - 1
    assert midnight_after(NOW) - NOW <= timedelta(days=1)
    assert step_of(midnight_after(NOW)) == 0
