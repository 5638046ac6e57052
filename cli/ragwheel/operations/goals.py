"""Waiting until a step of the loop is done, for scripts: all is graded, a verdict is in."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from ragwheel.accounting.accounts import TopicAccount
from ragwheel.accounting.reader import Groups, read_accounts
from ragwheel.backends.migrate import open_tables
from ragwheel.schemas.settings import GraderSettings, IntakeSettings

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

Goal = Literal["landed", "graded", "trained"]

_POLL_S = 1.0
#: Looks in a row that find nothing left: a message may leave one topic for the next between two
#: positions of one look.
_QUIET_LOOKS = 2
_VERDICT = """
SELECT model_id, action, reason FROM v_models
WHERE action IN ('promoted', 'shadow', 'refused') AND ts >= {since:DateTime64(3, 'UTC')}
ORDER BY ts DESC LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class VerdictLine:
    """A verdict of the gate in short."""

    model_id: str
    action: str
    reason: str


@dataclass(frozen=True, slots=True)
class Waited:
    """How a wait ended.

    Attributes:
        reached: whether the goal was reached in time.
        left: what was left at last, by topic; empty when nothing, and while waiting for a verdict.
        verdict: the newest one, when the goal is `trained`.
        seconds: waited.
    """

    goal: Goal
    reached: bool
    left: dict[str, int]
    verdict: VerdictLine | None
    seconds: float


def unfinished(accounts: list[TopicAccount], goal: Goal) -> dict[str, int]:
    """Messages that stand between now and the goal, by topic. Pure.

    What is unaccounted for is no work that anybody does, so it is not waited for.
    """
    left: dict[str, int] = {
        each.topic: each.in_flight + (each.pending_jobs if goal == "graded" else 0)
        for each in accounts
    }
    return {topic: count for topic, count in left.items() if count}


def wait(
    goal: Goal,
    intake: IntakeSettings,
    grader: GraderSettings,
    *,
    since: datetime,
    timeout_s: float,
    tell: Callable[[str], None],
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Waited:
    """Block until the goal is reached or the time is over.

    Args:
        since: a verdict of before is not the one that is waited for.
        tell: hears what is left, whenever it changes.

    Raises:
        UnavailableError: broker or database does not answer, or topics or tables are missing.
    """
    began = clock()
    groups = Groups(intake.intake_group, grader.grader_group)
    quiet, told = 0, ""
    with closing(open_tables(intake)) as client:
        while True:
            left: dict[str, int] = {}
            verdict = None
            if goal == "trained":
                verdict = _verdict(client, since)
                done = verdict is not None
            else:
                left = unfinished(read_accounts(intake, client, groups), goal)
                quiet = 0 if left else quiet + 1
                done = quiet >= _QUIET_LOOKS
            seconds = clock() - began
            if done or seconds >= timeout_s:
                return Waited(goal, done, left, verdict, seconds)
            if left and told != (told := in_words(left)):
                tell(f"{told} to go")
            sleep(_POLL_S)


def in_words(left: Mapping[str, int]) -> str:
    """`12 of queries, 3 of labels`."""
    return ", ".join(f"{count:,} of {topic}" for topic, count in left.items())


def _verdict(client: Client, since: datetime) -> VerdictLine | None:
    rows = client.query(_VERDICT, parameters={"since": since}).result_rows
    return VerdictLine(*rows[0]) if rows else None
