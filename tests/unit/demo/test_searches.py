"""The demo's traffic looks like traffic and can be repeated."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from ragwheel.demo.behaviour import CONTEXT_SIZE, react
from ragwheel.demo.searches import UNINDEXED_PACKAGES, CorpusQuestion, plan, respell
from ragwheel.schemas.identity import canonical_query

QUESTIONS = tuple(
    CorpusQuestion(
        f"Return the Value number {n} of a thing", f"segment-{n % 3}", f"module:function_{n}"
    )
    for n in range(200)
)


def test_equal_seeds_plan_equal_traffic_and_others_do_not() -> None:
    one = plan(QUESTIONS, 500, 10, random.Random(1))

    assert plan(QUESTIONS, 500, 10, random.Random(1)) == one
    assert plan(QUESTIONS, 500, 10, random.Random(2)) != one


def test_every_question_is_asked_and_the_popular_ones_far_more_often() -> None:
    searches = plan(QUESTIONS, 2_000, 0, random.Random(1))

    times = Counter(search.question for search in searches)
    assert len(searches) == 2_000
    assert set(times) == set(QUESTIONS)
    assert times.most_common(1)[0][1] > 20 * min(times.values())


def test_searches_without_results_ask_for_a_package_that_no_index_holds() -> None:
    searches = plan(QUESTIONS, 500, 25, random.Random(1))

    restricted = [search.package for search in searches if search.package]
    assert len(restricted) == 25
    assert set(restricted) <= set(UNINDEXED_PACKAGES)


def test_too_few_searches_for_the_questions_are_refused() -> None:
    with pytest.raises(ValueError, match="100 searches cannot hold 200 questions"):
        plan(QUESTIONS, 100, 0, random.Random(1))


def test_spellings_differ_and_stay_the_same_query() -> None:
    rng = random.Random(1)
    spellings = {respell(QUESTIONS[0].text, rng) for _ in range(200)}

    assert len(spellings) >= 4
    assert {canonical_query(text) for text in spellings} == {canonical_query(QUESTIONS[0].text)}


def test_a_session_belongs_to_one_user_and_often_holds_several_searches() -> None:
    searches = plan(QUESTIONS, 2_000, 0, random.Random(1))

    users: dict[str, set[str]] = {}
    for search in searches:
        users.setdefault(search.session, set()).add(search.user)
    assert all(len(names) == 1 for names in users.values())
    assert 2 < len(searches) / len(users) < 4


def test_feedback_is_biased_to_the_top_and_to_the_right_chunk() -> None:
    rng = random.Random(1)
    cited: Counter[int] = Counter()
    for _ in range(4_000):
        cited.update(rank for kind, rank in react(None, 20, rng) if kind == "cited" and rank)
    first = sum(any(rank == 1 for _, rank in react(1, 20, rng)) for _ in range(1_000))
    last = sum(any(rank == 5 for _, rank in react(5, 20, rng)) for _ in range(1_000))

    assert cited[1] > cited[CONTEXT_SIZE] > 0, "noise falls with the rank"
    assert max(cited) <= CONTEXT_SIZE, "only what was in the context can be cited"
    assert first > 2 * last > 0, "the right chunk is used less often further down"


def test_thumbs_follow_whether_the_answer_was_in_the_context() -> None:
    rng = random.Random(1)

    def thumbs(answer_rank: int | None) -> Counter[str]:
        return Counter(kind for _ in range(3_000) for kind, _ in react(answer_rank, 20, rng))

    happy, unhappy = thumbs(1), thumbs(12)
    assert happy["thumbs_up"] > 5 * happy["thumbs_down"]
    assert unhappy["thumbs_down"] > 5 * unhappy["thumbs_up"]


def test_nothing_can_be_cited_when_nothing_was_shown() -> None:
    rng = random.Random(1)

    assert not any(kind == "cited" for _ in range(500) for kind, _ in react(None, 0, rng))
