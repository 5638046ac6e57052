"""`ragwheel status`: what it says, and when it calls for help."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import orjson
import pytest

from ragwheel.accounting.accounts import Gap, TopicAccount
from ragwheel.accounting.ledger import Unfinished
from ragwheel.cli.output import report
from ragwheel.cli.views.overview import tables
from ragwheel.operations.breakers import HeldModel
from ragwheel.operations.overview import (
    BudgetState,
    DeadLetterCount,
    GroupState,
    LabelCount,
    ModelLine,
    Overview,
    TableRows,
)
from ragwheel.operations.running import ProcessState

STAND_IN = "stand-in-grader"
Shown = Callable[[Overview], str]
NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
UP = ProcessState("intake", os.getpid(), "intake.log", metrics_port=1)
FINE = Overview(
    home="/home/of/stack",
    topics=[
        TopicAccount("queries", 1_500, 1_490, 1_480, 10, 10),
        TopicAccount("grading", 40, 40, 40, 0, 0, pending_jobs=3),
    ],
    tables=[
        TableRows("queries", 1_480, True),
        TableRows("labels", 20_000_000, False),
        TableRows("models", 0, True),
    ],
    labels=[
        LabelCount("label", "m", "graded", 3, 100, 0.5),
        LabelCount("label", "m", "refused", None, 2, 0.25),
    ],
    dead_letters=[],
    models=[ModelLine("abc", "promoted", True, "+12 % recall@10", NOW)],
    groups=[GroupState("intake", "ragwheel-intake", 1)],
    processes=[UP],
)
DOWN = replace(UP, name="grader", pid=None)
LOST = TopicAccount("labels", 5, 5, 3, 0, 0, uncovered=2, gaps=(Gap(3, 40, 42),))


@pytest.fixture
def text(capsys: pytest.CaptureFixture[str]) -> Shown:
    """What a pipe gets."""

    def shown(overview: Overview) -> str:
        report(overview, tables, as_json=False)
        return capsys.readouterr().out

    return shown


def test_a_healthy_wheel_says_so_last(text: Shown) -> None:
    assert FINE.healthy
    assert text(FINE).splitlines()[-1].startswith("ok")


def test_a_model_that_takes_no_calls_is_told_last_with_its_reason(text: Shown) -> None:
    overview = replace(FINE, held=[HeldModel("grader", "luna", "open", "http_401")])
    assert overview.healthy
    assert "luna takes no calls (http_401): grader keeps its jobs" in text(overview)


def test_unfinished_work_is_shown_by_status_and_age(text: Shown) -> None:
    overview = replace(FINE, unfinished=[Unfinished("truncated", 12, NOW)])
    assert "truncated" in text(overview)
    assert "2026-01-31 12:00" in text(overview)
    assert "unfinished" not in text(FINE)


def test_dead_letters_of_the_last_hour_are_told_last(text: Shown) -> None:
    dead = [
        DeadLetterCount("timestamp_out_of_range", 1_500, 1_507),
        DeadLetterCount("not_utf8", 7, 7),
        DeadLetterCount("oversize", 0, 2),
    ]
    overview = replace(FINE, dead_letters=dead)
    assert overview.healthy
    lines = text(overview).splitlines()
    assert lines[-1].startswith(
        "ok, but  nothing is lost, everything runs; 1,507 dead letters in the last hour "
        "(timestamp_out_of_range, not_utf8): `ragwheel replay --dry-run`"
    )
    assert ["timestamp_out_of_range", "1,500", "1,507"] in [line.split() for line in lines]


def test_dead_letters_of_the_last_day_are_told_beside_a_problem(text: Shown) -> None:
    overview = replace(
        FINE, topics=[*FINE.topics, LOST], dead_letters=[DeadLetterCount("oversize", 0, 2)]
    )
    last = text(overview).splitlines()[-1]
    assert last.startswith("PROBLEM  2 unaccounted for in labels; 2 dead letters in the last day")


def test_labels_of_a_stand_in_are_told_last_and_in_json(text: Shown) -> None:
    mixed = replace(FINE, labels=[*FINE.labels, LabelCount("label", STAND_IN, "graded", 1, 7, 0)])
    assert mixed.healthy
    assert text(mixed).splitlines()[-1] == (
        "ok, but  nothing is lost, everything runs; 7 labels are a stand-in's, not an LLM's"
    )
    assert mixed.stand_in_labels == 7
    assert any(STAND_IN in line for line in text(mixed).splitlines())


def test_a_stand_in_that_has_graded_nothing_yet_is_told_too(text: Shown) -> None:
    started = replace(FINE, processes=[UP, replace(UP, name="llm")])
    assert started.stand_in
    assert text(started).splitlines()[-1].endswith("a stand-in grades, not an LLM")


def test_every_figure_is_shown(text: Shown) -> None:
    lines = [line.split() for line in text(FINE).splitlines()]
    assert ["queries", "1,500", "1,480", "10", "10", "-", "0"] in lines
    assert ["grading", "40", "40", "0", "0", "3", "0"] in lines
    assert ["labels", "20,000,000", "with", "superseded", "copies"] in lines
    assert ["label", "m", "refused", "-", "2", "0.2500"] in lines
    assert ["all", "-", "102", "0.7500"] in lines
    assert any(line[:4] == ["intake", "up", str(os.getpid()), "1"] for line in lines)
    assert any(line[:3] == ["*", "abc", "promoted"] for line in lines)


def test_lost_messages_are_a_problem_with_a_name(text: Shown) -> None:
    overview = replace(FINE, topics=[*FINE.topics, LOST])
    assert not overview.healthy
    lines = text(overview).splitlines()
    assert lines[-1] == "PROBLEM  2 unaccounted for in labels"
    assert "  labels[3]: offsets 40 to 41 unaccounted" in lines


def test_what_is_written_off_is_told_and_is_no_problem(text: Shown) -> None:
    given_up = TopicAccount("labels", 5, 5, 3, 0, 0, written_off=2)
    overview = replace(FINE, topics=[*FINE.topics, given_up])
    assert overview.healthy
    assert "  labels: 2 lost and written off" in text(overview).splitlines()


def test_jobs_without_labels_are_lost_too() -> None:
    jobs = TopicAccount("grading", 5, 5, 5, 0, 0, ungraded_jobs=1)
    assert not replace(FINE, topics=[jobs]).healthy


def test_a_worker_that_is_down_is_a_problem_with_a_name(text: Shown) -> None:
    overview = replace(FINE, processes=[UP, DOWN])
    assert not overview.healthy
    assert text(overview).splitlines()[-1] == ("PROBLEM  down: grader (see `ragwheel logs grader`)")


def test_without_a_local_stack_an_empty_consumer_group_is_a_worker_that_is_down() -> None:
    groups = [GroupState("intake", "ragwheel-intake", 2), GroupState("grader", "ragwheel-g", 0)]
    overview = replace(FINE, processes=[], groups=groups)
    assert overview.down == ["grader"]


def test_a_stack_started_without_a_worker_does_not_miss_it() -> None:
    groups = [GroupState("grader", "ragwheel-grader", 0)]
    assert replace(FINE, groups=groups).healthy


def test_an_empty_wheel_is_shown_without_empty_tables(text: Shown) -> None:
    empty = Overview("", [], [], [], [], [], [GroupState("intake", "g", 1)], [])
    assert "none yet" in text(empty)
    assert "base model serves" in text(empty)


def test_json_has_every_figure_and_the_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    report(replace(FINE, topics=[LOST], processes=[DOWN]), tables, as_json=True)
    found = orjson.loads(capsys.readouterr().out)
    assert found["topics"][0]["unaccounted"] == 2
    assert found["processes"][0]["alive"] is False
    assert (found["unaccounted"], found["down"], found["healthy"]) == (2, ["grader"], False)
    assert found["labels"][0] == {
        "role": "label", "model": "m", "status": "graded", "grade": 3, "labels": 100,
        "cost_usd": 0.5,
    }  # fmt: skip


def test_the_money_of_the_day_is_shown_where_some_was_claimed(text: Shown) -> None:
    assert "claimed today" not in text(FINE)
    shown = text(replace(FINE, budget=BudgetState(1.25, 5.0, 90_000, 0, 0.4)))
    assert "1.2500" in shown
    assert "/ 5" in shown
    assert "90,000" in shown
    assert "no limit" in shown
    assert "0.40" in shown
