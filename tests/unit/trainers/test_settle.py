"""No crash loses a decision or makes another one; two trainers end in one result."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
from tests.rigs.trainer_world import NOON
from tests.unit.models.test_registry import add

from ragwheel.backends import files
from ragwheel.models.artifacts import ArtifactStore
from ragwheel.models.registry import ModelRegistry, RegisteredModel, RegistryError
from ragwheel.schemas import identity
from ragwheel.schemas.errors import UnavailableError
from ragwheel.schemas.events import ModelEvent
from ragwheel.trainers.settle import BusyError, Decision, Look, Memory, Settlement, Shadow, alone

Action = Literal["promoted", "shadow", "refused", "rolled_back"]


class KilledError(BaseException):
    """The process is gone: nothing after this happens."""


class CountedStore(ArtifactStore):
    """An artifact store in a folder; each of its two changes is one effect of a life."""

    def __init__(self, folder: Path, effect: Callable[[], None]) -> None:
        super().__init__(str(folder))
        self._effect = effect

    def put(self, model: RegisteredModel) -> str:
        self._effect()
        with as_it_was():
            return super().put(model)

    def point(self, alias: bytes) -> None:
        self._effect()
        with as_it_was():
            super().point(alias)


@contextmanager
def as_it_was() -> Iterator[None]:
    """`files` without the counting of `counted`."""
    counting, files.replace_file = files.replace_file, REPLACE
    try:
        yield
    finally:
        files.replace_file = counting


@dataclass
class Life:
    """One process: a settlement whose effects are counted, and that may die before one of them.

    Attributes:
        events: what Kafka has; shared by all lives.
    """

    root: Path
    events: list[ModelEvent]
    dies_before: int | None = None
    artifacts: Path | None = None
    effects: int = 0
    settlement: Settlement = field(init=False)

    def __post_init__(self) -> None:
        store = None if self.artifacts is None else CountedStore(self.artifacts, self.effect)
        self.settlement = Settlement(ModelRegistry(self.root), self.publish, store)

    def effect(self) -> None:
        self.effects += 1
        if self.effects == self.dies_before:
            raise KilledError

    def publish(self, event: ModelEvent) -> None:
        self.effect()
        self.events.append(event)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Callable[[Life], None]:
    """Makes every change of the disk an effect of that life."""

    def count(life: Life) -> None:
        def wrapped(work: Callable[..., None]) -> Callable[..., None]:
            def changed(*args: object, **named: object) -> None:
                life.effect()
                work(*args, **named)

            return changed

        monkeypatch.setattr(files, "replace_file", wrapped(REPLACE))
        monkeypatch.setattr(files, "remove_file", wrapped(REMOVE))

    return count


REPLACE, REMOVE = files.replace_file, files.remove_file


def event(model_id: str, action: Action = "promoted") -> ModelEvent:
    return ModelEvent(
        event_id=identity.digest("test", model_id, action), model_id=model_id,
        incumbent_id="base", base_model="base", action=action, reason="proven", ts=NOON,
    )  # fmt: skip


def decision(model_id: str, action: Action = "promoted", measured: str | None = None) -> Decision:
    made = event(model_id, action)
    return Decision(
        event=made, report={"verdict": {"action": action}}, measured=measured, answered=700,
        look=Look(gate_id=made.event_id, promoted=action == "promoted", query_hashes=("q1", "q2")),
    )  # fmt: skip


def state(root: Path, model_id: str) -> tuple[object, ...]:
    settlement = Settlement(ModelRegistry(root), lambda _: None)
    registry = settlement.registry
    return (
        [each.model_id for each in registry.promotions()],
        registry.report(model_id),
        settlement.memory(),
        sorted(path.name for path in root.iterdir() if path.is_file() and path.suffix == ".json"),
    )


@pytest.mark.parametrize(
    ("action", "elsewhere", "effects"),
    [("promoted", False, 6), ("promoted", True, 8), ("refused", False, 5), ("refused", True, 5)],
)
def test_a_process_that_dies_before_any_step_leaves_the_decision_to_the_next(
    tmp_path: Path,
    counted: Callable[[Life], None],
    action: Action,
    elsewhere: bool,
    effects: int,
) -> None:
    def store(name: str) -> Path | None:
        return tmp_path / f"store {name}" if elsewhere else None

    whole = Life(tmp_path / "whole", [], artifacts=store("whole"))
    model_id = add(whole.settlement.registry)
    counted(whole)
    whole.settlement.settle(decision(model_id, action))
    assert [each.action for each in whole.events] == [action]
    assert whole.effects == effects
    expected = state(tmp_path / "whole", model_id)
    for step in range(1, whole.effects + 1):
        root = tmp_path / f"dies before {step}"
        first = Life(root, [], dies_before=step, artifacts=store(str(step)))
        assert add(first.settlement.registry) == model_id
        counted(first)
        with pytest.raises(KilledError):
            first.settlement.settle(decision(model_id, action))
        second = Life(root, first.events, artifacts=store(str(step)))
        counted(second)
        made = second.settlement.finish()
        assert (made is None) == (step == 1), "before the journal is written nothing was decided"
        if made is None:
            second.settlement.settle(decision(model_id, action))
        assert state(root, model_id) == expected, f"died before effect {step}"
        assert {each.event_id for each in first.events} == {whole.events[0].event_id}
        assert second.settlement.finish() is None
        if elsewhere and action == "promoted":
            at = ArtifactStore(str(store(str(step))))
            assert at.has(model_id)
            assert at.current() == second.settlement.registry.alias_as_json()


def test_a_model_is_at_the_store_before_its_event_and_the_pointer_comes_after(
    tmp_path: Path,
) -> None:
    registry, store = ModelRegistry(tmp_path / "models"), ArtifactStore(str(tmp_path / "store"))
    model_id = add(registry)
    seen: list[tuple[bool, bytes | None]] = []
    settlement = Settlement(
        registry, lambda _: seen.append((store.has(model_id), store.current())), store
    )
    settlement.settle(decision(model_id))
    assert seen == [(True, None)]
    assert store.current() == registry.alias_as_json()
    assert settlement.url_of(model_id) == f"file://{tmp_path}/store/models/{model_id}"


def test_nobody_is_told_of_a_model_that_the_store_did_not_take(tmp_path: Path) -> None:
    registry = ModelRegistry(tmp_path / "models")
    model_id = add(registry)

    class AwayStore(ArtifactStore):
        def put(self, model: RegisteredModel) -> str:
            raise UnavailableError("the store is away")

    told: list[ModelEvent] = []
    away = Settlement(registry, told.append, AwayStore(str(tmp_path / "store")))
    with pytest.raises(UnavailableError, match="the store is away"):
        away.settle(decision(model_id))
    assert (told, registry.current_id()) == ([], None)
    back = Settlement(registry, told.append, ArtifactStore(str(tmp_path / "store")))
    assert back.finish() is not None
    assert ([each.model_id for each in told], registry.current_id()) == ([model_id], model_id)


@pytest.mark.parametrize("away", ["kafka", "store"])
def test_a_rollback_is_told_in_one_way_while_the_other_is_away(tmp_path: Path, away: str) -> None:
    registry, store = ModelRegistry(tmp_path / "models"), ArtifactStore(str(tmp_path / "store"))
    model_id, told = add(registry), list[ModelEvent]()
    Settlement(registry, told.append, store).settle(decision(model_id))

    class AwayStore(ArtifactStore):
        def point(self, alias: bytes) -> None:
            raise UnavailableError("the store is away")

    def refused(_: ModelEvent) -> None:
        raise UnavailableError("Kafka is away")

    half = (
        Settlement(registry, refused, store)
        if away == "kafka"
        else Settlement(registry, told.append, AwayStore(str(tmp_path / "store")))
    )
    with pytest.raises(UnavailableError):
        half.settle(Decision(event=event(model_id, "rolled_back")))
    assert registry.current_id() is None
    assert (store.current() == registry.alias_as_json()) == (away == "kafka")
    assert [each.action for each in told][1:] == ([] if away == "kafka" else ["rolled_back"])
    Settlement(registry, told.append, store).finish()
    assert store.current() == registry.alias_as_json()
    assert told[-1].action == "rolled_back"


def test_nothing_serves_before_its_event_is_durable(tmp_path: Path) -> None:
    life = Life(tmp_path, [])
    model_id = add(life.settlement.registry)
    seen: list[str | None] = []

    def publish(_: ModelEvent) -> None:
        seen.append(ModelRegistry(tmp_path).current_id())
        if len(seen) == 1:
            raise UnavailableError("Kafka is away")

    settlement = Settlement(ModelRegistry(tmp_path), publish)
    with pytest.raises(UnavailableError):
        settlement.settle(decision(model_id))
    assert ModelRegistry(tmp_path).current_id() is None
    assert settlement.finish() is not None
    assert seen == [None, None]
    assert ModelRegistry(tmp_path).current_id() == model_id


def test_an_unfinished_decision_comes_before_a_new_one(tmp_path: Path) -> None:
    life = Life(tmp_path, [], dies_before=1)
    first, second = (add(life.settlement.registry, name) for name in ("one", "two"))
    with pytest.raises(KilledError):
        life.settlement.settle(decision(first))
    later = Life(tmp_path, life.events)
    made = later.settlement.settle(decision(second))
    assert [(each.model_id, each.action) for each in later.events] == [
        (first, "promoted"), (second, "shadow"),
    ]  # fmt: skip
    assert f"{first} serves by now" in made.event.reason


def test_a_promotion_that_was_measured_against_another_model_becomes_a_shadow(
    tmp_path: Path,
) -> None:
    life = Life(tmp_path, [])
    registry = life.settlement.registry
    one, two = add(registry, "one"), add(registry, "two")
    life.settlement.settle(decision(one))
    made = life.settlement.settle(decision(two))
    assert registry.current_id() == one
    assert made.event.action == "shadow"
    assert made.event.reason.startswith(f"not promoted: {one} serves by now")
    assert (made.report["verdict"]["action"], made.shadow and made.shadow.model_id) == (
        "shadow",
        two,
    )
    assert [look.promoted for look in life.settlement.memory().looks] == [True, False]


def test_what_a_person_took_back_is_not_promoted_again_on_equal_data(tmp_path: Path) -> None:
    life = Life(tmp_path, [])
    registry = life.settlement.registry
    model_id = add(registry)
    life.settlement.settle(decision(model_id))
    life.settlement.settle(Decision(event=event(model_id, "rolled_back"), answered=950))
    assert registry.current_id() is None
    assert life.settlement.memory().answered == 950, "the next training waits for new labels"
    made = life.settlement.settle(decision(model_id))
    assert made.event.action == "shadow"
    assert "models allow" in made.event.reason
    assert registry.current_id() is None
    registry.allow(model_id)
    assert life.settlement.settle(decision(model_id)).event.action == "promoted"
    assert registry.current_id() == model_id


def test_a_rollback_does_not_wait_for_kafka_and_its_event_is_not_lost(
    tmp_path: Path, counted: Callable[[Life], None]
) -> None:
    for step in range(2, 6):
        life = Life(tmp_path / str(step), [])
        model_id = add(life.settlement.registry)
        life.settlement.settle(decision(model_id))
        dying = Life(life.root, life.events, dies_before=step)
        counted(dying)
        with pytest.raises(KilledError):
            dying.settlement.settle(Decision(event=event(model_id, "rolled_back")))
        counted(Life(life.root, []))
        assert (life.settlement.registry.current_id() is None) == (step > 2)
        Life(life.root, life.events).settlement.finish()
        assert life.settlement.registry.current_id() is None
        assert len(life.settlement.registry.holds()) == 1
        assert {each.action for each in life.events} == {"promoted", "rolled_back"}


def test_a_shadow_stays_in_memory_until_another_verdict(tmp_path: Path) -> None:
    life = Life(tmp_path, [])
    model_id = add(life.settlement.registry)
    shadow = Shadow(model_id=model_id, measured=None, since=NOON, answered=600, missing=90)
    kept = decision(model_id, "shadow").model_copy(update={"shadow": shadow})
    for _ in range(2):
        life.settlement.settle(kept)
    assert life.settlement.memory().shadows == (shadow,)
    assert len(life.settlement.memory().looks) == 1
    life.settlement.settle(decision(model_id, "refused"))
    assert life.settlement.memory().shadows == ()
    assert life.settlement.memory().answered == 700


def test_a_damaged_memory_is_forgotten_and_a_damaged_journal_is_not(tmp_path: Path) -> None:
    life = Life(tmp_path, [])
    (tmp_path / "trainer.json").write_text("{")
    assert life.settlement.memory() == Memory()
    (tmp_path / "decision.json").write_text("{")
    with pytest.raises(RegistryError, match=r"decision\.json cannot be read"):
        life.settlement.finish()


HOLDS = """
import sys
from pathlib import Path
from ragwheel.models.registry import ModelRegistry
from ragwheel.trainers.settle import alone
with alone(ModelRegistry(Path(sys.argv[1]))):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_trainer_is_told_and_a_dead_one_holds_nothing(tmp_path: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(tmp_path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        with (
            pytest.raises(BusyError, match="another trainer is in a cycle"),
            alone(ModelRegistry(tmp_path)),
        ):
            pass
    finally:
        child.kill()
        child.communicate()
    with alone(ModelRegistry(tmp_path)):
        pass


DIES = """
import os, sys
from pathlib import Path
from ragwheel.backends import files
from ragwheel.models.registry import ModelRegistry
from ragwheel.trainers.settle import Decision, Settlement
left = int(sys.argv[2])
def dying(work):
    def changed(*args, **named):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), 9)
        return work(*args, **named)
    return changed
files.replace_file, files.remove_file = dying(files.replace_file), dying(files.remove_file)
settlement = Settlement(ModelRegistry(Path(sys.argv[1])), lambda event: None)
settlement.settle(Decision.model_validate_json(sys.stdin.read()))
"""


@pytest.mark.slow
def test_a_killed_process_leaves_its_decision_to_the_next(tmp_path: Path) -> None:
    """The real signal, before any change of the disk."""
    for change in range(1, 6):
        life = Life(tmp_path / str(change), [])
        model_id = add(life.settlement.registry)
        ended = subprocess.run(
            [sys.executable, "-c", DIES, str(life.root), str(change)],
            input=decision(model_id).model_dump_json(), text=True, check=False, timeout=120,
        )  # fmt: skip
        assert ended.returncode == -9
        if life.settlement.finish() is None:
            life.settlement.settle(decision(model_id))
        assert life.settlement.registry.current_id() == model_id
        assert life.settlement.memory().answered == 700
        assert len(life.settlement.registry.promotions()) == 1
        assert not (life.root / "decision.json").exists()
