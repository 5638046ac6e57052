"""Labels open one thing after the other, and trainings come at each doubling."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ragwheel.trainers.ladder import LADDER, Pace, next_training, standing

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
PACE = Pace(first=300, every=timedelta(days=7))


def test_steps_go_up() -> None:
    heights = [rung.queries for rung in LADDER]
    assert heights == sorted(set(heights))


@pytest.mark.parametrize(
    ("answered", "reached", "ahead"),
    [(0, None, 20), (20, 20, 30), (299, 30, 300), (300, 300, 1_000), (5_000, 1_000, None)],
)
def test_where_one_stands_and_what_is_next(
    answered: int, reached: int | None, ahead: int | None
) -> None:
    here, there = standing(answered)
    assert (here.queries if here else None, there.queries if there else None) == (reached, ahead)


def test_the_first_training_waits_for_enough() -> None:
    assert not next_training(299, 0, None, NOW, PACE).due
    assert next_training(299, 0, None, NOW, PACE).reason == "1 more answered queries are needed"
    assert next_training(300, 0, None, NOW, PACE).due


def test_the_next_one_waits_for_a_doubling() -> None:
    an_hour_ago = NOW - timedelta(hours=1)
    assert not next_training(799, 400, an_hour_ago, NOW, PACE).due
    assert next_training(800, 400, an_hour_ago, NOW, PACE).due


def test_ten_thousand_queries_that_come_one_by_one_train_six_times() -> None:
    trainings, last = 0, 0
    for answered in range(10_001):
        if next_training(answered, last, NOW, NOW, PACE).due:
            trainings, last = trainings + 1, answered
    assert trainings == 6


def test_time_alone_trains_only_when_something_is_new() -> None:
    a_week_ago = NOW - timedelta(days=7)
    assert next_training(401, 400, a_week_ago, NOW, PACE).due
    assert not next_training(400, 400, a_week_ago, NOW, PACE).due
    assert not next_training(401, 400, a_week_ago, NOW, Pace(300)).due


def test_labels_that_were_forgotten_do_not_start_one() -> None:
    assert not next_training(100, 400, NOW, NOW, PACE).due


def test_an_alert_trains_once_a_day_while_it_fires_and_only_when_something_is_new() -> None:
    a_day_ago, an_hour_ago = NOW - timedelta(days=1), NOW - timedelta(hours=1)
    due = next_training(401, 400, a_day_ago, NOW, PACE, "ClicksFell")
    assert due.due
    assert due.reason == "the alert ClicksFell fires and more is known"
    assert not next_training(401, 400, an_hour_ago, NOW, PACE, "ClicksFell").due
    assert not next_training(400, 400, a_day_ago, NOW, PACE, "ClicksFell").due
    assert not next_training(401, 400, a_day_ago, NOW, PACE, "").due


def test_an_alert_lowers_no_bar_of_the_first_training() -> None:
    assert not next_training(299, 0, None, NOW, PACE, "ClicksFell").due
