"""Random chunks among the graded ones: they measure the grader and count nowhere else."""

from __future__ import annotations

from collections import Counter
from typing import Any

from tests.unit.grading.paying import purse
from tests.unit.grading.scripted import (
    NOW,
    MemoryStore,
    Reaction,
    ScriptedModel,
    StillClock,
    job,
    missing_first,
    prose,
    text_of,
    true_grade,
)

from ragwheel.backends.telemetry import Telemetry
from ragwheel.grading.asking import rubric_folder
from ragwheel.grading.asking.prompt import PackLimits
from ragwheel.grading.cost import Price
from ragwheel.grading.decoys import Decoys
from ragwheel.grading.grader import LlmGrader
from ragwheel.grading.purse import Purse
from ragwheel.grading.spending import Spending
from ragwheel.schemas import identity, metrics
from ragwheel.schemas.events import GradingJob, Label
from ragwheel.schemas.tables import UNFINISHED_LABELS, rows_of
from ragwheel.schemas.topics import Position

PRICE = Price(10.0, 100.0)


class World:
    """A grader, an index of fifty chunks of which a job asks for the first, and what is counted."""

    def __init__(self, *script: Reaction, per_call: int = 1, money: Purse | None = None) -> None:
        self.store = MemoryStore()
        self.store.indexes[""] = {
            identity.content_hash(text_of(number)): text_of(number) for number in range(50)
        }
        self.telemetry = Telemetry()
        self.money = money
        self.per_call = per_call
        self.start(*script)

    def start(self, *script: Reaction) -> None:
        """Another process: nothing is remembered but what the store has."""
        self.model = ScriptedModel(*script)
        prices = {self.model.model: PRICE}
        self.grader = LlmGrader(
            self.model,
            rubric_folder.load(),
            self.store,
            Spending(prices, self.telemetry, self.money, now=lambda: NOW),
            self.telemetry,
            limits=PackLimits(),
            parameters={},
            decoys=Decoys(self.store, self.per_call, self.telemetry),
            clock=StillClock().clock(),
        )

    async def grade(self, asked: GradingJob | None = None) -> tuple[list[Label], list[Label]]:
        """Labels of the job's chunks, and of decoys."""
        labels = await self.grader.grade(asked or job())
        decoys = [each for each in labels if each.role == "decoy"]
        return [each for each in labels if each.role != "decoy"], decoys

    def land(self, labels: list[Label]) -> None:
        """As if intake had."""
        self.store.grades |= {
            each.label_id: each.grade for each in labels if each.grade is not None
        }

    def counted(self, **about: Any) -> tuple[float, float]:
        """Decoys graded and flagged."""
        about = {"role": "label", "segment": "default"} | about
        value = self.telemetry.value
        return value(metrics.DECOYS_GRADED, **about), value(metrics.DECOYS_FLAGGED, **about)


async def test_each_call_has_its_decoys_and_the_labels_of_the_job_are_as_without() -> None:
    for per_call in (1, 2):
        world = World(per_call=per_call)
        labels, decoys = await world.grade()
        assert world.model.sizes == [10 + per_call, 10 + per_call]
        assert [each.chunk_hash for each in labels] == [
            each.chunk_hash for each in job().candidates
        ]
        assert len({each.chunk_hash for each in decoys}) == 2 * per_call
        assert {each.chunk_hash for each in decoys}.isdisjoint(
            each.chunk_hash for each in job().candidates
        )
        for each in decoys:
            assert (each.job_id, each.grade) == (job().job_id, true_grade(each.chunk_hash))
            assert each.label_id == identity.label_id(
                each.query_hash, each.chunk_hash, each.rubric_version, each.grader_id, "decoy"
            )


async def test_nothing_in_a_prompt_tells_a_decoy_from_the_others() -> None:
    world = World()
    places: Counter[int] = Counter()
    for number in range(40):
        _, decoys = await world.grade(job(f"query {number}", range(10)))
        shown = list(world.model.prompts[-1].chunk_of_id.values())
        places[shown.index(decoys[0].chunk_hash)] += 1
    assert len(places) > 7
    assert max(places.values()) < 12


async def test_decoys_are_paid_for_under_the_budget_and_each_pays_its_share() -> None:
    world = World()
    labels, decoys = await world.grade()
    paid = 2 * PRICE.cost_usd(100, 20)
    assert abs(sum(each.cost_usd for each in (*labels, *decoys)) - paid) < 1e-12
    assert all(each.cost_usd > 0 for each in decoys)
    late = World(money=purse(0.001))
    labels, decoys = await late.grade(job("two", range(10)))
    assert {each.status for each in labels} == {"over_budget"}
    assert decoys == []  # no request held them


async def test_a_replay_pays_for_no_decoy_again() -> None:
    world = World()
    labels, decoys = await world.grade()
    calls = len(world.model.prompts)
    await world.grade()  # of the same process
    assert len(world.model.prompts) == calls
    world.land([*labels[:10], *decoys])
    world.start()
    again, known = await world.grade()
    assert len(again) == 20
    assert sum(world.model.sizes) == 10  # what had not landed, and no decoy beside it
    assert {each.label_id for each in known} <= {each.label_id for each in decoys}
    assert {each.cost_usd for each in known} == {0.0}
    assert world.counted()[0] == 2


async def test_the_same_job_draws_the_same_decoys_and_another_job_others() -> None:
    async def drawn(asked: GradingJob) -> set[str]:
        return {each.chunk_hash for each in (await World(per_call=3).grade(asked))[1]}

    first = await drawn(job())
    assert first == await drawn(job())
    other = job().model_copy(update={"job_id": "f" * 32})
    assert first != await drawn(other)


async def test_what_was_graded_for_the_query_is_no_decoy() -> None:
    world = World(per_call=5)
    free = identity.content_hash(text_of(49))
    every = set(world.store.indexes[""])
    world.store.graded_of = {job().query_hash: every - {free}}
    _, decoys = await world.grade()
    assert [each.chunk_hash for each in decoys] == [free]
    assert world.telemetry.value(metrics.DECOYS_MISSING, segment="default") == 9


async def test_where_no_chunk_is_known_calls_go_without_and_are_counted() -> None:
    for spoil in ("index", "store"):
        world = World()
        if spoil == "index":
            world.store.indexes.clear()
        else:
            world.store.graded_of = None  # nobody can be asked
        labels, decoys = await world.grade()
        assert ({each.status for each in labels}, decoys) == ({"graded"}, [])
        assert world.model.sizes == [10, 10]
        assert world.telemetry.value(metrics.DECOYS_MISSING, segment="default") == 2


async def test_decoys_are_of_the_index_of_the_job() -> None:
    world = World()
    texts = {identity.content_hash(text): text for text in ("x", "y", "z")}
    world.store.indexes["other"] = texts
    _, decoys = await world.grade(job().model_copy(update={"index": "other"}))
    assert {each.chunk_hash for each in decoys} <= texts.keys()


async def test_decoys_are_counted_apart_from_labels_and_grades() -> None:
    world = World(per_call=2)
    labels, decoys = await world.grade()
    flagged = sum(each.grade is not None and each.grade >= 2 for each in decoys)
    assert world.counted() == (4, flagged)
    about = {"role": "label", "segment": "default"}
    assert world.telemetry.value(metrics.LABELS, status="graded", **about) == len(labels) == 20
    for grade in range(4):
        expected = sum(each.grade == grade for each in labels)
        assert world.telemetry.value(metrics.GRADES, grade=str(grade), **about) == expected


async def test_a_decoy_is_asked_once_and_one_without_a_grade_is_no_work_that_waits() -> None:
    world = World(prose)
    labels, decoys = await world.grade(job(chunks=range(10)))
    assert world.model.sizes == [11, 10]
    assert {each.status for each in labels} == {"graded"}
    assert [each.status for each in decoys] == ["unparsed"]
    made = {table for table, _ in rows_of(decoys[0], Position("labels", 0, 0))}
    assert UNFINISHED_LABELS not in made
    assert world.counted() == (0, 0)


async def test_a_second_look_is_a_fresh_grade_in_another_order_without_decoys() -> None:
    world = World()
    first, _ = await world.grade(job(chunks=range(10)))
    again = job(chunks=range(10)).model_copy(update={"role": "second", "job_id": "f" * 32})
    second, decoys = await world.grade(again)
    assert (world.model.sizes, decoys) == ([11, 10], [])
    assert {each.role for each in second} == {"second"}
    assert {each.label_id for each in first}.isdisjoint(each.label_id for each in second)
    assert first[0].grader_id == second[0].grader_id
    shown = [list(prompt.chunk_of_id.values()) for prompt in world.model.prompts]
    assert [each for each in shown[0] if each in shown[1]] != shown[1]


async def test_without_decoys_a_grader_is_another_and_draws_none() -> None:
    world = World(missing_first, per_call=0)
    labels, decoys = await world.grade(job(chunks=range(10)))
    assert (world.model.sizes, decoys, len(labels)) == ([10, 1], [], 10)
    assert world.grader.grader_id != World().grader.grader_id
    assert world.telemetry.value(metrics.DECOYS_MISSING, segment="default") == 0
