"""A day's money lasts to its end, and what is sampled less says so."""

from __future__ import annotations

import math
import random
from datetime import UTC, datetime, timedelta
from statistics import mean

import pytest

from ragwheel.schemas import identity
from ragwheel.schemas.budget import STEP_S, STEPS, Claims, limit_of
from ragwheel.schemas.events import SpendingEntry
from ragwheel.schemas.pace import LEAST, DayPace, factors

MIDNIGHT = datetime(2026, 11, 23, tzinfo=UTC)
LIMIT = limit_of(4.0, 0)


def at(step: float) -> datetime:
    return MIDNIGHT + timedelta(seconds=step * STEP_S)


def claim(number: int, usd: float, when: datetime) -> SpendingEntry:
    return SpendingEntry(
        entry_id=f"{number:032x}", kind="claim", worker="w", day=when.date(), usd=usd, tokens=1,
        limit_usd=LIMIT.usd, ts=when,
    )  # fmt: skip


def traffic(step: int) -> float:
    """Searches by the step of the day: a peak at nine in the morning, hardly any at night."""
    return 0.5 + 3 * math.exp(-(((step - 108) / 24) ** 2))


class GradedDay:
    """A day of searches, those of the evening worse, and money for 40 % of them."""

    def __init__(self, *, paced: bool) -> None:
        dice, claims = random.Random(1), Claims()
        pace = DayPace(claims)
        counts = [round(60 * traffic(step)) for step in range(STEPS)]
        usd = LIMIT.usd / 0.4 / sum(counts)
        self.truth: list[float] = []
        self.graded: list[tuple[float, float, int]] = []  # quality, probability, step
        for step, count in enumerate(counts):
            factor = pace.factor(at(step), at(step)) if paced else 1.0
            affordable = int(claims.room(MIDNIGHT.date(), LIMIT).usd / usd)
            before = len(self.graded)
            for number in range(count):
                quality = dice.random() * (1.0 if step < 144 else 0.4)
                self.truth.append(quality)
                is_drawn = identity.randomness_56(f"{step} {number}") >= (1 - factor) * 2**56
                if is_drawn and len(self.graded) - before < affordable:
                    self.graded.append((quality, factor, step))
            claims.apply(claim(step, usd * (len(self.graded) - before), at(step)), at(step))
        self.spent = claims.of(MIDNIGHT.date()).claimed.usd / LIMIT.usd

    def estimate(self) -> float:
        """The mean quality by inverse probability."""
        weights = [1 / probability for _, probability, _ in self.graded]
        found = sum(w * each[0] for w, each in zip(weights, self.graded, strict=True))
        return found / sum(weights)


def test_money_for_two_fifths_of_a_day_with_a_peak_lasts_to_its_last_hour() -> None:
    day, unpaced = GradedDay(paced=True), GradedDay(paced=False)
    assert 0.9 < day.spent <= 1.0
    assert max(step for _, _, step in day.graded) > 0.95 * STEPS
    assert max(step for _, _, step in unpaced.graded) < 0.5 * STEPS  # nothing after noon


def test_the_weighted_mean_is_that_of_the_day_where_the_morning_alone_is_not() -> None:
    day, unpaced = GradedDay(paced=True), GradedDay(paced=False)
    assert day.estimate() == pytest.approx(mean(day.truth), abs=0.015)
    assert unpaced.estimate() > mean(unpaced.truth) + 0.05


def test_a_day_that_can_be_paid_is_not_paced() -> None:
    shares = [(0.9 / STEPS, 0.5 / STEPS)] * STEPS
    assert set(factors(shares, 1.0)) == {1.0}


def test_the_scarcer_of_money_and_tokens_sets_the_pace() -> None:
    rich, poor = 0.1 / STEPS, 2.0 / STEPS
    assert factors([(rich, poor)] * STEPS, 1.0) == factors([(poor, rich)] * STEPS, 1.0)
    assert factors([(rich, poor)] * STEPS, 1.0)[100] < 0.5


def test_a_factor_depends_on_earlier_steps_alone_and_is_always_a_probability() -> None:
    dice = random.Random(3)
    for _ in range(20):
        shares = [(dice.random() / 100, dice.random() / 100) for _ in range(STEPS)]
        found = factors(shares, dice.random())
        cut = dice.randrange(STEPS)
        assert (
            factors([*shares[:cut], *[(0.0, 0.0)] * (STEPS - cut)], found[0])[: cut + 1]
            == (found[: cut + 1])
        )
        assert all(LEAST <= each <= 1 for each in found)
        assert found[-1] == LEAST  # all is spent by then


def test_a_search_that_is_read_late_has_the_factor_of_its_own_time() -> None:
    claims, now = Claims(), at(250)
    pace = DayPace(claims)
    assert pace.factor(now, now) == 1.0
    for step in range(0, 240, 2):
        claims.apply(claim(step, 0.03, at(step)), at(step))
    then = [pace.factor(at(step), at(step)) for step in range(250)]
    assert [pace.factor(at(step), now) for step in range(250)] == then
    assert len(set(then)) > 20
    for strange in (now - timedelta(days=30), now + timedelta(hours=1)):
        assert pace.factor(strange, now) == pace.factor(now, now)


def test_a_new_day_starts_at_the_mean_of_the_day_before() -> None:
    claims = Claims()
    for step in range(STEPS):
        claims.apply(claim(step, LIMIT.usd / STEPS, at(step)), at(step))
    assert DayPace(claims).factor(at(STEPS), at(STEPS)) == pytest.approx(1.0, abs=0.02)
    for step in range(60):
        entry = claim(1_000 + step, LIMIT.usd / 61, at(STEPS + step))
        claims.apply(entry, at(STEPS + step))
    third = at(2 * STEPS)
    assert LEAST < DayPace(claims).factor(third, third) < 0.8
