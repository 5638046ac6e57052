"""Rounds of asking: what is open is asked again, what is settled never."""

import pytest
from tests.unit.grading.paying import purse
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
from ragwheel.grading.asking.prompt import PackLimits, Passage, Prompt
from ragwheel.grading.endpoint.calls import Completion
from ragwheel.grading.endpoint.retry import GiveUp
from ragwheel.grading.result import PairResult
from ragwheel.grading.rounds import Question, judge
from ragwheel.grading.spending import Spending
from ragwheel.schemas import identity

_QUESTION = Question(rubric_folder.load().of("default"), "a query", identity.query_hash("a query"))
_PASSAGES = [Passage(identity.content_hash(text_of(n)), text_of(n)) for n in range(10)]


async def _judge(
    model: ScriptedModel, passages: list[Passage] | None = None, limit_tokens: int = 0
) -> dict[str, PairResult]:
    return await judge(
        model,
        _QUESTION,
        _PASSAGES if passages is None else passages,
        PackLimits(),
        rounds=3,
        spending=Spending({}, Telemetry(), purse(tokens=limit_tokens)),
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


async def test_what_is_turned_away_alone_is_not_asked_again() -> None:
    model = ScriptedModel(default=gone)
    results = await _judge(model)
    assert {(each.status, each.reason) for each in results.values()} == {
        ("failed", "HTTP 500: a bug of theirs")
    }
    assert model.sizes == [10, 5, 5, *[2] * 5, *[1] * 10]


@pytest.mark.parametrize("status", ["truncated", "refused", "failed"])
@pytest.mark.parametrize("poisons", [1, 2, 3])
async def test_bad_passages_are_found_by_halving_and_take_no_neighbour_with_them(
    status: str, poisons: int
) -> None:
    bad = {each.chunk_hash for each in _PASSAGES[:poisons]}

    def turn_away(prompt: Prompt) -> Completion | GiveUp:
        if bad.isdisjoint(prompt.chunk_of_id.values()):
            return right(prompt)
        return GiveUp("HTTP 400: told", status)  # type: ignore[arg-type] # parametrized text

    model = ScriptedModel(default=turn_away)
    results = await _judge(model)
    for passage in _PASSAGES:
        result = results[passage.chunk_hash]
        if passage.chunk_hash in bad:
            assert (result.status, result.grade, result.reason) == (status, None, "HTTP 400: told")
        else:
            assert result.grade == true_grade(passage.chunk_hash)
    # Each bad passage costs at most the calls of its own halvings: 10, 5, 2 and alone, with the
    # neighbours that were in its halves.
    assert len(model.sizes) <= 1 + 7 * poisons
    assert model.sizes.count(1) >= poisons


async def test_halving_uses_up_none_of_the_rounds_in_which_a_bad_answer_is_asked_again() -> None:
    """The batch is turned away thrice; then there are still three rounds of reading."""
    model = ScriptedModel(gone, gone, gone, *[right] * 3, prose, prose)
    _assert_all_right(await _judge(model))


async def test_every_token_is_charged_to_some_pair_failed_calls_included() -> None:
    model = ScriptedModel(missing_first, prose)
    results = await _judge(model)
    assert len(model.prompts) == 3
    assert sum(each.input_tokens for each in results.values()) == 300
    assert sum(each.output_tokens for each in results.values()) == 60


async def test_no_call_starts_that_no_day_can_pay() -> None:
    model = ScriptedModel()
    results = await _judge(model, limit_tokens=1_000)
    assert model.prompts == []
    assert {each.status for each in results.values()} == {"over_budget"}
    assert "whole day" in results[_PASSAGES[0].chunk_hash].reason


async def test_nothing_to_judge_asks_nothing() -> None:
    model = ScriptedModel()
    assert await _judge(model, []) == {}
    assert model.prompts == []
