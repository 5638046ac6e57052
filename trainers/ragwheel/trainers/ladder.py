"""What a number of labeled queries makes possible, and when the next training is due. Pure.

Trainings begin at a first number of answered queries and again at each doubling: recall grows with
the logarithm of the labels, so equal steps of the logarithm are worth equal trainings, and the gate
is not asked again and again about what is nearly the same model.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Rung:
    """A step of the ladder.

    Attributes:
        queries: answered queries (with a relevant label) from which on it is reached.
        opens: what becomes possible, as a noun phrase.
    """

    queries: int
    opens: str


#: Each step with the reason for its height: 20 queries carry a report and no gate (a true gain of
#: 5 points would be proven in one case of ten); a few hundred let a query-side lane learn without a
#: loss on most tasks, but hold out too few queries to prove it; 1,000 hold out the 200 of a gate.
EVALUATION = Rung(20, "an evaluation report of what is in service")
LADDER = (
    EVALUATION,
    Rung(30, "worked examples for the grader's rubric"),
    Rung(300, "candidates of the query side, held in shadow"),
    Rung(1_000, "the gate: promotion by proof"),
)


@dataclass(frozen=True, slots=True)
class Pace:
    """When trainings are due.

    Attributes:
        first: answered queries of the first training.
        growth: the next one at this multiple of what the last one had; over 1.
        every: at the latest after this time, if anything is new; None: never for its age alone.
        alarmed: the same while an alert about quality fires. An alert that a training does not end
            goes on firing, so it must not train again and again.
    """

    first: int
    growth: float = 2.0
    every: timedelta | None = None
    alarmed: timedelta = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Due:
    """Whether to train now.

    Attributes:
        due: it is time.
        target: answered queries at which it is time, whatever the clock says.
        reason: in words.
    """

    due: bool
    target: int
    reason: str


def standing(answered: int) -> tuple[Rung | None, Rung | None]:
    """The highest step that is reached, and the next one; None where there is none."""
    reached = [rung for rung in LADDER if rung.queries <= answered]
    ahead = [rung for rung in LADDER if rung.queries > answered]
    return (reached[-1] if reached else None), (ahead[0] if ahead else None)


def evaluation_is_due(answered: int, evaluated: int) -> bool:
    """Whether a report of what is in service says more than the last one: at its step, then at
    each doubling.

    Args:
        answered: queries with a relevant label, now.
        evaluated: how many the last report was about; 0 when there was none.
    """
    return answered >= max(EVALUATION.queries, 2 * evaluated)


def next_training(
    answered: int,
    trained_on: int,
    trained_at: datetime | None,
    now: datetime,
    pace: Pace,
    alert: str = "",
) -> Due:
    """Whether a training is due.

    Args:
        answered: queries with a relevant label, now.
        trained_on: how many there were at the last training; 0 when there was none.
        trained_at: when that was, UTC.
        alert: name of an alert about quality that fires; empty: none does.
    """
    target = pace.first if trained_on == 0 else max(pace.first, math.ceil(trained_on * pace.growth))
    if answered >= target:
        return Due(True, target, f"{answered:,} answered queries are {target:,} or more")
    if trained_at is not None and answered > trained_on:
        age = now - trained_at
        if pace.every is not None and age >= pace.every:
            days = age / timedelta(days=1)
            return Due(True, target, f"the last training was {days:.1f} days ago and more is known")
        if alert and age >= pace.alarmed:
            return Due(True, target, f"the alert {alert} fires and more is known")
    return Due(False, target, f"{target - answered:,} more answered queries are needed")
