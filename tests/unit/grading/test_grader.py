"""`LlmGrader`: one definite label per pair, nothing paid twice, never an exception."""

import asyncio
from collections.abc import Collection, Mapping
from typing import Any

import pytest
from tests.unit.grading.paying import DayClock, SharedLog, purse
from tests.unit.grading.scripted import (
    NOW,
    MemoryStore,
    ScriptedModel,
    StillClock,
    job,
    missing_first,
    prose,
    right,
    text_of,
    true_grade,
)

from ragwheel.backends.telemetry import Telemetry
from ragwheel.grading import grader as grading
from ragwheel.grading.asking import rubric_folder
from ragwheel.grading.asking.prompt import PackLimits, Prompt
from ragwheel.grading.cost import Price
from ragwheel.grading.endpoint.calls import Completion
from ragwheel.grading.grader import LabelStore, LlmGrader
from ragwheel.grading.purse import Purse
from ragwheel.grading.spending import Spending
from ragwheel.schemas import identity, metrics
from ragwheel.schemas.events import GradingJob


def _grader(
    model: ScriptedModel,
    store: LabelStore | None = None,
    *,
    money: Purse | None = None,
    telemetry: Telemetry | None = None,
    time: StillClock | None = None,
    **options: Any,
) -> LlmGrader:
    telemetry = telemetry or Telemetry()
    prices = {model.model: Price(10.0, 100.0)}
    return LlmGrader(
        model,
        rubric_folder.load(),
        store or MemoryStore(),
        Spending(prices, telemetry, money, now=lambda: NOW),
        telemetry,
        limits=options.pop("limits", PackLimits()),
        parameters=options.pop("parameters", {"temperature": 0}),
        clock=(time or StillClock()).clock(),
        **options,
    )


async def test_a_label_holds_nothing_that_a_label_has_no_name_for() -> None:
    for label in await _grader(ScriptedModel()).grade(job()):
        assert label.unknown_fields() == {}


async def test_a_job_of_twenty_becomes_twenty_labels_in_two_calls() -> None:
    model = ScriptedModel()
    asked = job()
    labels = await _grader(model).grade(asked)
    assert [label.chunk_hash for label in labels] == [each.chunk_hash for each in asked.candidates]
    assert all(label.grade == true_grade(label.chunk_hash) for label in labels)
    assert model.sizes == [10, 10]


async def test_a_label_says_who_judged_what_for_which_job() -> None:
    asked = job()
    grader = _grader(ScriptedModel())
    label = (await grader.grade(asked))[0]
    version = rubric_folder.load().of("default").version
    assert label.label_id == identity.label_id(
        asked.query_hash, label.chunk_hash, version, grader.grader_id, asked.role
    )
    assert (label.job_id, label.role, label.ts) == (asked.job_id, "label", asked.ts)
    assert (label.rubric_version, label.prompt_hash) == (version, grader.prompt_hash)
    assert label.inclusion_probability == 0.25
    assert label.grader_id.startswith("scripted@")


async def test_costs_of_the_labels_add_up_to_the_costs_of_the_calls() -> None:
    telemetry = Telemetry()
    model = ScriptedModel(missing_first)
    labels = await _grader(model, telemetry=telemetry).grade(job())
    paid = len(model.prompts) * Price(10.0, 100.0).cost_usd(100, 20)
    assert abs(sum(label.cost_usd for label in labels) - paid) < 1e-12
    assert abs(telemetry.value(metrics.LLM_COST, model="scripted") - paid) < 1e-12
    assert telemetry.value(metrics.LLM_TOKENS, model="scripted", direction="input") == 300


async def test_a_chunk_listed_twice_is_one_pair() -> None:
    labels = await _grader(ScriptedModel()).grade(job(chunks=[1, 2, 1]))
    assert len(labels) == 2


async def test_a_job_without_candidates_has_no_labels() -> None:
    assert await _grader(ScriptedModel()).grade(job(chunks=[])) == []


async def test_a_replayed_job_is_answered_from_memory_with_the_same_identities() -> None:
    model = ScriptedModel()
    grader = _grader(model)
    first = await grader.grade(job())
    calls = len(model.prompts)
    again = await grader.grade(job())
    assert len(model.prompts) == calls
    assert [(each.label_id, each.grade) for each in again] == [
        (each.label_id, each.grade) for each in first
    ]
    assert sum(each.cost_usd for each in again) == 0


async def test_another_spelling_of_the_query_is_the_same_pair() -> None:
    model = ScriptedModel()
    grader = _grader(model)
    await grader.grade(job("How long?"))
    await grader.grade(job("  how   LONG? "))
    assert len(model.prompts) == 2


async def test_pairs_that_two_jobs_share_are_asked_once_while_both_are_under_way() -> None:
    model = ScriptedModel()
    grader = _grader(model)
    model.gate.clear()
    both = asyncio.gather(
        grader.grade(job(chunks=range(10))), grader.grade(job(chunks=range(5, 15)))
    )
    await asyncio.sleep(0.01)
    model.gate.set()
    one, two = await both
    assert (len(one), len(two)) == (10, 10)
    assert sorted(model.sizes) == [5, 10]
    assert {label.status for label in [*one, *two]} == {"graded"}


async def test_when_a_job_is_stopped_the_one_that_waited_for_it_asks_itself() -> None:
    model = ScriptedModel()
    grader = _grader(model)
    model.gate.clear()
    leader = asyncio.create_task(grader.grade(job(chunks=range(10))))
    await asyncio.sleep(0.01)
    follower = asyncio.create_task(grader.grade(job(chunks=range(10))))
    await asyncio.sleep(0.01)
    leader.cancel()
    model.gate.set()
    labels = await follower
    assert {label.status for label in labels} == {"graded"}
    assert len(model.prompts) == 2


async def test_what_the_store_has_is_not_paid_for() -> None:
    asked = job()
    known = await _grader(ScriptedModel()).grade(asked)
    store = MemoryStore({label.label_id: label.grade for label in known if label.grade is not None})
    telemetry = Telemetry()
    model = ScriptedModel()
    labels = await _grader(model, store, telemetry=telemetry).grade(asked)
    assert model.prompts == []
    assert [each.grade for each in labels] == [each.grade for each in known]
    assert telemetry.value(metrics.LABEL_CACHE_HITS, source="store") == 20


async def test_another_text_model_rubric_or_parameter_is_never_answered_from_the_store() -> None:
    asked = job()
    base = _grader(ScriptedModel())
    ids = {label.label_id for label in await base.grade(asked)}

    other_model = ScriptedModel()
    other_model.model = "other"
    variants = {
        "model": _grader(other_model),
        "parameter": _grader(ScriptedModel(), parameters={"temperature": 1}),
        "packing": _grader(ScriptedModel(), limits=PackLimits(passages=5)),
    }
    for name, grader in variants.items():
        assert ids.isdisjoint(each.label_id for each in await grader.grade(asked)), name
    changed = await base.grade(job(chunks=range(100, 120)))
    assert ids.isdisjoint(each.label_id for each in changed)


async def test_what_a_server_takes_of_a_request_is_part_of_who_graded() -> None:
    """A fallback in the middle of a job opens a new epoch for the whole of it: nothing mixes."""

    def fall_back(prompt: Prompt) -> Completion:
        model.form = {"response_format": "json_object"}
        return right(prompt)

    model = ScriptedModel(right, fall_back)
    grader = _grader(model)
    before = grader.grader_id
    labels = await grader.grade(job())
    assert grader.grader_id != before
    assert {label.grader_id for label in labels} == {grader.grader_id}
    assert {label.status for label in labels} == {"graded"}
    assert len(labels) == 20
    assert model.sizes == [10] * 4
    assert not {label.label_id for label in labels} & {
        identity.label_id(label.query_hash, label.chunk_hash, label.rubric_version, before, "label")
        for label in labels
    }
    await grader.grade(job())
    assert model.sizes == [10] * 4  # remembered under the name that it has now


async def test_failures_are_not_remembered_and_can_be_graded_later() -> None:
    model = ScriptedModel(prose, prose, prose, prose, prose, prose)
    grader = _grader(model)
    assert {each.status for each in await grader.grade(job())} == {"unparsed"}
    assert {each.status for each in await grader.grade(job())} == {"graded"}


async def test_texts_are_read_from_the_store_and_waited_for() -> None:
    class LateStore(MemoryStore):
        looks = 0

        async def texts(self, chunk_hashes: Collection[str]) -> Mapping[str, str]:
            self.looks += 1
            return await super().texts(chunk_hashes) if self.looks > 3 else {}

    texts = {identity.content_hash(text_of(n)): text_of(n) for n in range(20)}
    time = StillClock()
    grader = _grader(ScriptedModel(), LateStore(texts=texts), time=time)
    labels = await grader.grade(job(with_text=False))
    assert {label.status for label in labels} == {"graded"}
    assert time.elapsed_s == 3.0


@pytest.mark.parametrize(("remembered", "waited_s"), [(200_000, 30), (3, 60)])
async def test_of_chunks_without_text_a_bounded_number_is_remembered(
    remembered: int, waited_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grading, "REMEMBERED", remembered)
    time = StillClock()
    grader = _grader(ScriptedModel(), MemoryStore(), time=time)
    for query in ("one", "two"):  # a chunk that is remembered is not waited for again
        await grader.grade(job(query, range(10), with_text=False))
    assert time.elapsed_s == waited_s


async def test_a_chunk_without_text_ends_as_failed_and_the_others_are_graded() -> None:
    asked = job(chunks=range(3))
    bare = asked.candidates[0].model_copy(update={"text": None})
    asked = asked.model_copy(update={"candidates": (bare, *asked.candidates[1:])})
    labels = await _grader(ScriptedModel()).grade(asked)
    assert [label.status for label in labels] == ["failed", "graded", "graded"]
    assert "no text" in labels[0].reason


async def test_a_pair_that_no_day_can_pay_has_a_status_and_costs_nothing() -> None:
    model = ScriptedModel()
    labels = await _grader(model, money=purse(0.001)).grade(job())
    assert {(each.status, each.grade) for each in labels} == {("over_budget", None)}
    assert sum(each.cost_usd for each in labels) == 0
    assert model.prompts == []


async def test_what_cannot_be_paid_today_is_graded_after_midnight() -> None:
    log, clock, model = SharedLog(), DayClock(), ScriptedModel()
    await _grader(ScriptedModel(), money=purse(10.0, log=log)).grade(job("one", range(10)))
    most_usd = log.granted().usd  # that one call may cost; it does cost 0.003
    grader = _grader(model, money=purse(most_usd + 0.001, clock=clock))
    assert {each.status for each in await grader.grade(job("one", range(10)))} == {"graded"}
    assert clock.now() == NOW
    assert {each.status for each in await grader.grade(job("two", range(10)))} == {"graded"}
    assert clock.now().date() > NOW.date()


async def test_a_bug_becomes_a_failed_label_and_not_an_exception(caplog: Any) -> None:
    class BrokenStore(MemoryStore):
        async def graded(self, query_hash: str, label_ids: Collection[str]) -> Mapping[str, Any]:
            raise RuntimeError("a bug")

    labels = await _grader(ScriptedModel(), BrokenStore()).grade(job())
    assert {(each.status, each.reason) for each in labels} == {
        ("failed", "internal error: RuntimeError")
    }
    assert len(labels) == 20
    assert "a bug" in caplog.text


async def test_labels_are_counted_by_status_and_grade() -> None:
    telemetry = Telemetry()
    labels = await _grader(ScriptedModel(), telemetry=telemetry).grade(job())
    about = {"role": "label", "segment": "default"}
    assert telemetry.value(metrics.LABELS, status="graded", **about) == 20
    for grade in range(4):
        expected = sum(label.grade == grade for label in labels)
        assert telemetry.value(metrics.GRADES, grade=str(grade), **about) == expected


async def test_an_unpriced_model_costs_nothing_and_still_grades() -> None:
    grader = LlmGrader(
        ScriptedModel(), rubric_folder.load(), MemoryStore(),
        Spending({}, Telemetry()), Telemetry(), limits=PackLimits(), parameters={},
    )  # fmt: skip
    labels = await grader.grade(job())
    assert {(each.status, each.cost_usd) for each in labels} == {("graded", 0.0)}


async def test_a_job_is_replayed_with_the_same_prompts_byte_for_byte() -> None:
    async def prompts(asked: GradingJob) -> list[tuple[str, str]]:
        model = ScriptedModel(missing_first, prose)
        await _grader(model).grade(asked)
        return [(prompt.system, prompt.user) for prompt in model.prompts]

    reversed_candidates = job().model_copy(update={"candidates": job().candidates[::-1]})
    first = await prompts(job())
    assert await prompts(job()) == first
    assert await prompts(reversed_candidates) == first
