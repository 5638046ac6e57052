"""Rounds of asking: what is open is asked again, what is settled never."""

import pytest
from tests.unit.grading.scripted import (
    Reaction,
    ScriptedModel,
    doubled_first,
    gone,
    missing_first,
    prose,
    refused,
    right,
    text_of,
    true_grade,
    truncated,
)

from ragwheel.backends.telemetry import Telemetry
from ragwheel.grading.asking import rubric_folder
from ragwheel.grading.asking.prompt import PackLimits, Passage
from ragwheel.grading.result import PairResult
from ragwheel.grading.rounds import Question, judge
from ragwheel.grading.spending import Spending
from ragwheel.schemas import identity

_QUESTION = Question(rubric_folder.load().of("default"), "a query", identity.query_hash("a query"))
_PASSAGES = [Passage(identity.content_hash(text_of(n)), text_of(n)) for n in range(10)]


async def _judge(
    model: ScriptedModel, passages: list[Passage] | None = None, limit_usd: float | None = None
) -> dict[str, PairResult]:
    return await judge(
        model,
        _QUESTION,
        _PASSAGES if passages is None else passages,
        PackLimits(),
        rounds=3,
        spending=Spending({}, Telemetry(), limit_usd=limit_usd),
    )


def _assert_all_right(results: dict[str, PairResult]) -> None:
    assert {each: result.grade for each, result in results.items()} == {
        passage.chunk_hash: true_grade(passage.chunk_hash) for passage in _PASSAGES
    }


async def test_a_good_answer_ends_it_in_one_call() -> None:
    model = ScriptedModel()
    _assert_all_right(await _judge(model))
    assert model.sizes == [10]


@pytest.mark.parametrize("spoilt", [missing_first, doubled_first])
async def test_an_id_without_a_proper_grade_is_asked_again_alone(spoilt: Reaction) -> None:
    model = ScriptedModel(spoilt)
    results = await _judge(model)
    _assert_all_right(results)
    assert model.sizes == [10, 1]
    assert sorted(result.attempts for result in results.values()) == [1] * 9 + [2]


async def test_an_unreadable_answer_is_asked_again_in_another_order() -> None:
    model = ScriptedModel(prose)
    _assert_all_right(await _judge(model))
    first, second = (list(prompt.chunk_of_id.values()) for prompt in model.prompts)
    assert sorted(first) == sorted(second)
    assert first != second


async def test_a_truncated_batch_is_halved() -> None:
    model = ScriptedModel(truncated)
    _assert_all_right(await _judge(model))
    assert model.sizes == [10, 5, 5]


async def test_a_refused_batch_is_asked_one_by_one_so_that_one_passage_spoils_only_itself() -> None:
    poison = _PASSAGES[3].chunk_hash

    def refuse_poison(prompt):  # type: ignore[no-untyped-def]
        return refused(prompt) if poison in prompt.chunk_of_id.values() else right(prompt)

    model = ScriptedModel(default=refuse_poison)
    results = await _judge(model)
    assert results.pop(poison).status == "refused"
    assert {each.status for each in results.values()} == {"graded"}
    assert model.sizes == [10] + [1] * 10  # the poison is not asked a third time


@pytest.mark.parametrize(
    ("always", "status", "calls"),
    [(prose, "unparsed", 3), (truncated, "truncated", 1 + 2 + 5), (refused, "refused", 11)],
)
async def test_after_the_last_round_the_trouble_is_the_status_and_never_a_grade(
    always: Reaction, status: str, calls: int
) -> None:
    model = ScriptedModel(default=always)
    results = await _judge(model)
    assert len(results) == 10
    assert {(each.status, each.grade) for each in results.values()} == {(status, None)}
    assert all(each.reason for each in results.values())
    assert len(model.prompts) == calls


async def test_a_terminal_failure_is_not_asked_again() -> None:
    model = ScriptedModel(default=gone)
    results = await _judge(model)
    assert {(each.status, each.reason) for each in results.values()} == {
        ("failed", "HTTP 404: no such model")
    }
    assert len(model.prompts) == 1


async def test_every_token_is_charged_to_some_pair_failed_calls_included() -> None:
    model = ScriptedModel(missing_first, prose)
    results = await _judge(model)
    assert len(model.prompts) == 3
    assert sum(each.input_tokens for each in results.values()) == 300
    assert sum(each.output_tokens for each in results.values()) == 60


async def test_no_call_starts_when_the_budget_is_spent() -> None:
    model = ScriptedModel()
    results = await _judge(model, limit_usd=0.0)
    assert model.prompts == []
    assert {(each.status, each.reason) for each in results.values()} == {
        ("over_budget", "the daily budget of 0.0 USD is spent")
    }


async def test_nothing_to_judge_asks_nothing() -> None:
    model = ScriptedModel()
    assert await _judge(model, []) == {}
    assert model.prompts == []
