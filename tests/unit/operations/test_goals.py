"""`ragwheel wait`: what is left is told, and the end is believed only when it holds."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from ragwheel.accounting.accounts import TopicAccount
from ragwheel.operations import goals
from ragwheel.operations.goals import Goal, VerdictLine, Waited, unfinished
from ragwheel.schemas.settings import GraderSettings, IntakeSettings

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


def account(topic: Any, in_flight: int = 0, pending: int = 0) -> TopicAccount:
    return TopicAccount(topic, in_flight=in_flight, pending_jobs=pending)


def test_jobs_without_labels_are_left_for_graded_and_not_for_landed() -> None:
    accounts = [account("queries"), account("grading", pending=3), account("labels", in_flight=2)]
    assert unfinished(accounts, "landed") == {"labels": 2}
    assert unfinished(accounts, "graded") == {"grading": 3, "labels": 2}


def test_what_is_unaccounted_for_is_not_waited_for() -> None:
    lost = TopicAccount("queries", uncovered=5)
    assert unfinished([lost], "graded") == {}


class World:
    """Accounts that change from look to look, verdicts that come, and a clock of its own."""

    def __init__(self, looks: list[list[TopicAccount]], verdicts: list[list[Any]]) -> None:
        self.looks, self.verdicts = iter(looks), iter(verdicts)
        self.now, self.told = 0.0, list[str]()
        self.asked_since: list[Any] = []

    def query(self, _sql: str, parameters: dict[str, Any]) -> SimpleNamespace:
        self.asked_since.append(parameters["since"])
        return SimpleNamespace(result_rows=next(self.verdicts, []))

    def close(self) -> None:
        pass

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def wait(self, goal: Goal, timeout_s: float = 60.0) -> Waited:
        return goals.wait(
            goal, IntakeSettings(), GraderSettings(), since=NOW, timeout_s=timeout_s,
            tell=self.told.append, clock=lambda: self.now, sleep=self.sleep,
        )  # fmt: skip


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> type[World]:
    class Here(World):
        def __init__(self, looks: Any = (), verdicts: Any = ()) -> None:
            super().__init__(list(looks), list(verdicts))
            monkeypatch.setattr(goals, "open_tables", lambda _settings: self)
            monkeypatch.setattr(goals, "read_accounts", lambda *_: next(self.looks))

    return Here


def test_nothing_left_once_may_be_between_two_topics(world: Any) -> None:
    moving, still = [account("queries", 2)], [account("queries")]
    here = world([moving, still, [account("grading", pending=1)], still, still])
    found = here.wait("graded")
    assert found.reached
    assert found.seconds == 4
    assert here.told == ["2 of queries to go", "1 of grading to go"]


def test_the_same_news_is_told_once(world: Any) -> None:
    here = world([[account("queries", 2)]] * 3 + [[account("queries")]] * 2)
    here.wait("landed")
    assert here.told == ["2 of queries to go"]


def test_when_the_time_is_over_it_says_what_is_left(world: Any) -> None:
    here = world([[account("labels", 7)]] * 100)
    found = here.wait("landed", timeout_s=3)
    assert not found.reached
    assert found.left == {"labels": 7}
    assert found.seconds == 3


def test_a_verdict_since_then_ends_the_wait(world: Any) -> None:
    here = world(verdicts=[[], [], [("m1", "shadow", "not proven")]])
    found = here.wait("trained")
    assert found.verdict == VerdictLine("m1", "shadow", "not proven")
    assert set(here.asked_since) == {NOW}
