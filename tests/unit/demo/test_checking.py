"""A run fails, and says why, when its figures do not fit together."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.demo.demo_results import comparison, comparisons, verdict

from ragwheel.accounting.accounts import TopicAccount
from ragwheel.demo.broken import BrokenEvent
from ragwheel.demo.checking import (
    account_problems,
    dead_letter_problems,
    row_problems,
    verdict_problems,
)
from ragwheel.demo.outcome import DeadLetterSample
from ragwheel.demo.playing import Played, Searched
from ragwheel.demo.readings import Landed

PLAYED = Played(
    Searched((1.0, 1.0), zero_results=1, answer_in_results=1),
    sent={"queries": 10, "retrievals": 2, "feedback": 3, "chunks": 5},
    copies={"queries": 2},
    broken=(BrokenEvent("queries", None, b"{", "malformed_json"),),
    delivered=19,
    lost=0,
)
LANDED = Landed(
    {"queries": 7, "retrievals": 2, "feedback": 3, "chunks": 5}, zero_results=1, duplicate_labels=0
)


def test_copies_and_broken_events_are_not_expected_as_rows() -> None:
    assert list(row_problems(PLAYED, LANDED)) == []


@pytest.mark.parametrize(
    ("played", "landed", "problem"),
    [
        ({"lost": 4}, {}, "the client lost 4 events"),
        ({}, {"rows": {**LANDED.rows, "chunks": 4}}, "chunks: 4 rows, expected 5"),
        ({}, {"zero_results": 2}, "2 searches without results landed, expected 1"),
        ({}, {"duplicate_labels": 3}, "3 labels are there twice"),
    ],
)
def test_rows_that_do_not_fit_are_named(
    played: dict[str, object], landed: dict[str, object], problem: str
) -> None:
    found = row_problems(
        replace(PLAYED, **played),  # type: ignore[arg-type]  # each field by its name
        replace(LANDED, **landed),  # type: ignore[arg-type]
    )

    (one,) = found
    assert one.startswith(problem)


def test_balanced_accounts_raise_no_problem() -> None:
    rows = [
        TopicAccount("queries", produced=10, landed=9, dead_lettered=1),
        TopicAccount("labels", produced=5, landed=5),
    ]

    assert list(account_problems(rows, {"queries": 10})) == []


def test_each_fault_in_the_accounts_is_named_with_its_topic() -> None:
    rows = [
        TopicAccount("queries", produced=10, landed=6, dead_lettered=1, in_flight=2, uncovered=1)
    ]

    assert list(account_problems(rows, {"queries": 12})) == [
        "queries: 1 messages are unaccounted for",
        "queries: 2 messages are still in flight",
        "queries: 12 messages were sent and confirmed, but the broker counts 10",
    ]


def test_dead_letters_must_be_exactly_those_that_were_sent_broken() -> None:
    found = [
        DeadLetterSample("queries", "malformed_json", 2, ""),
        DeadLetterSample("labels", "invalid_field", 1, ""),
    ]

    assert list(dead_letter_problems({("queries", "malformed_json"): 2}, found[:1])) == []
    assert list(dead_letter_problems({("queries", "malformed_json"): 3}, found)) == [
        "labels: 1 dead letters with the reason invalid_field, expected 0",
        "queries: 2 dead letters with the reason malformed_json, expected 3",
    ]


def test_a_proven_and_published_promotion_is_no_problem() -> None:
    judged, truth = comparisons(0.6), comparisons(0.5)

    assert list(verdict_problems(verdict(), judged, truth, (0.7, 0.78))) == []


def test_a_refusal_is_a_problem_of_the_run() -> None:
    refusal = verdict("refused", "because")

    problems = verdict_problems(refusal, comparisons(0.6), comparisons(0.5), (0.7, 0.78))

    assert list(problems) == ["nothing was promoted (refused): because"]


def test_an_improvement_that_the_truth_does_not_prove_is_a_problem() -> None:
    truth = (comparison("recall", 10, "*", 0.5, 0.01),)

    problems = list(verdict_problems(verdict(), comparisons(0.6), truth, (0.7, 0.78)))

    assert len(problems) == 1
    assert "not proven" in problems[0]


def test_metrics_must_say_what_clickhouse_says() -> None:
    judged, truth = comparisons(0.6), comparisons(0.5)

    assert "no recall@10" in "".join(verdict_problems(verdict(), judged, truth, None))
    assert "(0.7, 0.9)" in "".join(verdict_problems(verdict(), judged, truth, (0.7, 0.9)))


def test_no_verdict_is_one_problem() -> None:
    assert list(verdict_problems(None, (), (), None)) == ["the trainer reached no verdict"]
