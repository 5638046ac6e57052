"""What production returned is a system, and the judge of our reproduction of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pytest
from tests.rigs.trainer_world import NOON

from ragwheel.measuring.nearest import NO_RESULT
from ragwheel.trainers.data.records import Corpus, LoggedRanking
from ragwheel.trainers.systems.contracts import Asked, Ranking
from ragwheel.trainers.systems.observed import (
    AgreementRules,
    ObservedSystem,
    agreement,
    replaced_stage,
    served_by,
)

CORPUS = Corpus(
    tuple(f"{number:03}" for number in range(100)), tuple(f"text {n}" for n in range(100))
)
QUERIES = [Asked(f"q{number}", "a question", "code") for number in range(30)]


def logged(
    query: str, numbers: range, *, stage: str = "dense", at: datetime = NOON, model: str = ""
) -> LoggedRanking:
    hashes = tuple(f"{number:03}" for number in numbers)
    return LoggedRanking(query, "code", stage, "", "", model, hashes, (1.0,) * len(hashes), at)


def made(*starts: int) -> Ranking:
    rows = np.array([range(start, start + 10) for start in starts], np.int64)
    return Ranking(rows, np.zeros(rows.shape, np.float32))


def test_only_the_newest_ranking_of_the_stage_counts() -> None:
    system = ObservedSystem(
        "dense",
        [
            logged("q0", range(5), at=NOON), logged("q0", range(50, 55), at=NOON - timedelta(1)),
            logged("q0", range(90, 95), stage="rerank", at=NOON + timedelta(1)),
        ],
        CORPUS,
    )  # fmt: skip
    assert system.rank(QUERIES[:1], 3).rows.tolist() == [[0, 1, 2]]


def test_results_outside_the_corpus_are_left_out_and_counted() -> None:
    system = ObservedSystem("dense", [logged("q0", range(98, 103))], CORPUS)
    assert system.rank(QUERIES[:2], 4).rows.tolist() == [[98, 99, NO_RESULT, NO_RESULT],
                                                         [NO_RESULT] * 4]  # fmt: skip
    assert system.outside(QUERIES) == 3


@pytest.mark.parametrize(
    ("stages", "models", "expected"),
    [
        (("bm25", "dense", "fusion", "rerank"), ("", "m", "", ""), "dense"),
        (("words", "vectors"), ("", "e5"), "vectors"),
        (("bm25", "rerank"), ("", ""), ""),
        ((), (), ""),
    ],
)
def test_a_query_encoder_replaces_the_stage_that_embeds(
    stages: tuple[str, ...], models: tuple[str, ...], expected: str
) -> None:
    rankings = [
        logged("q", range(3), stage=stage, model=model)
        for stage, model in zip(stages, models, strict=True)
    ]
    assert replaced_stage(rankings) == expected


def test_a_reproduction_that_returns_the_same_is_believed() -> None:
    system = ObservedSystem("dense", [logged(f"q{n}", range(10)) for n in range(30)], CORPUS)
    found = agreement(system, made(*[1] * 30), QUERIES)
    assert (found.queries, found.believed) == (30, True)
    assert found.overlap == pytest.approx(0.9)
    assert "agrees with production (overlap@10 0.90 on 30 queries)" in str(found)


def test_a_reproduction_that_returns_something_else_is_not_and_says_what_may_be_wrong() -> None:
    system = ObservedSystem("dense", [logged(f"q{n}", range(10)) for n in range(25)], CORPUS)
    found = agreement(system, made(*[6] * 30), QUERIES)
    assert (found.queries, found.believed) == (25, False)
    assert found.overlap == pytest.approx(0.4)
    assert "overlap@10 0.40 on 25 queries, stage dense" in str(found)
    for reason in ("RAGWHEEL_BASE_MODEL", "RAGWHEEL_QUERY_PROMPT", "filters", "reranker"):
        assert reason in str(found)


def test_a_short_list_agrees_when_all_of_it_was_found() -> None:
    system = ObservedSystem("dense", [logged("q0", range(3))], CORPUS)
    assert agreement(system, made(0), QUERIES[:1]).overlap == 1.0


def test_too_few_logged_queries_prove_no_disagreement() -> None:
    system = ObservedSystem("dense", [logged(f"q{n}", range(10)) for n in range(5)], CORPUS)
    assert agreement(system, made(*[50] * 30), QUERIES).believed
    assert not agreement(system, made(*[50] * 30), QUERIES, AgreementRules(min_queries=5)).believed
    nothing = agreement(ObservedSystem("", [], CORPUS), made(*[0] * 30), QUERIES)
    assert nothing.believed
    assert "not known" in str(nothing)


def answered(model_id: str, minutes: int) -> LoggedRanking:
    of = logged(f"q{minutes}", range(5), at=NOON + timedelta(minutes=minutes))
    return replace(of, model_id=model_id)


def test_what_serves_is_what_the_newest_answers_say() -> None:
    before = [answered("old", minute) for minute in range(300)]
    after = [answered("new", 300 + minute) for minute in range(60)]
    canary = [answered("canary", 355 + minute) for minute in range(5)]
    silent = [logged(f"s{number}", range(5), at=NOON + timedelta(9)) for number in range(90)]
    assert served_by([*before, *silent]) == "old"
    assert served_by([*silent, *after, *canary, *before]) == "new"
    assert served_by(silent) == ""
