"""The effects of a decision, in one place and in an order that no crash can spoil.

    journal → artifact → report → event → alias → pointer → memory → journal removed

From the moment the journal is on the disk the decision is made: whoever starts next finishes it,
with the same event, before anything else is decided. Each step done twice is done once. Before that
moment nothing has happened, and a cycle on equal data comes to the same decision again.

- The model is at the artifact store before its event tells anybody to fetch it.
- The event is durable before the alias flips, so nothing serves that nobody was told of; the
  pointer at the artifact store follows the alias.
- A rollback flips first: whoever takes a bad model back waits neither for Kafka nor for the store,
  and each of the two alone is enough for those who follow.
- The alias changes only if what serves is what was measured (`ModelRegistry.promote`).
- What was learnt from is remembered in the same decision: a promoted candidate is not trained
  again on equal data, to be compared with itself and refused.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, ValidationError

from ragwheel.backends import files
from ragwheel.models.artifacts import ArtifactStore
from ragwheel.models.registry import ModelRegistry, NotApplicableError, RegistryError
from ragwheel.schemas import identity
from ragwheel.schemas.errors import TransientError
from ragwheel.schemas.events import ModelEvent

_LOG = logging.getLogger(__name__)


class BusyError(TransientError):
    """Another trainer is in a cycle on this model directory."""


class Shadow(BaseModel):
    """A candidate that is measured again as labels arrive.

    Attributes:
        measured: what served when it was last judged; None: the base model.
        since: when it first got into the shadow.
        answered: queries with a relevant label when it was last judged.
        missing: how many more gate queries would probably settle it, by that judgment.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model_id: str
    measured: str | None
    since: datetime
    answered: int
    missing: int


class Look(BaseModel):
    """A gate that a judge decided: queries that were looked at prove less the next time."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    gate_id: str
    promoted: bool
    query_hashes: tuple[str, ...]


class Memory(BaseModel):
    """What a trainer remembers between cycles.

    Attributes:
        answered: queries with a relevant label that the last cycle saw.
        looks: gates, oldest first.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    answered: int = 0
    at: datetime | None = None
    shadows: tuple[Shadow, ...] = ()
    looks: tuple[Look, ...] = ()


class Decision(BaseModel):
    """Everything that follows from a verdict, or from a rollback.

    Attributes:
        measured: the model in service that the candidate was compared with; None: the base model.
        answered: what the cycle had seen; None: nothing was learnt, the memory stays.
        shadow: how the candidate is kept; None: it is not.
        look: the gate; None if no judge was asked.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    event: ModelEvent
    report: dict[str, Any] = {}
    measured: str | None = None
    answered: int | None = None
    shadow: Shadow | None = None
    look: Look | None = None


@dataclass(frozen=True, slots=True)
class Settlement:
    """Makes decisions come true.

    Attributes:
        publish: returns when the event is durable; raises UnavailableError.
        artifacts: where models are stored for whoever serves them; None: the registry's own folder
            is that place, and nothing is copied.
    """

    registry: ModelRegistry
    publish: Callable[[ModelEvent], None]
    artifacts: ArtifactStore | None = None

    def url_of(self, model_id: str) -> str:
        """Where a promoted model can be fetched from: an absolute URL."""
        return (self.artifacts or ArtifactStore(str(self.registry.root))).url_of(model_id)

    def settle(self, decision: Decision) -> Decision:
        """Make a decision and all that follows from it; the decision as it was made.

        A promotion that is not applicable (another model serves than was measured, or a person
        took this one back) becomes a shadow, and says why.

        Raises:
            UnavailableError: Kafka does not take the event, or the artifact store the model. The
                decision is made all the same; `finish` completes it.
        """
        with self.registry.locked():
            self.finish()
            decision = self._applicable(decision)
            files.replace_file(self._journal, decision.model_dump_json(indent=1).encode())
            self._complete(decision)
        return decision

    def finish(self) -> Decision | None:
        """Complete a decision whose process ended in the middle; None if there is none.

        Raises:
            UnavailableError: Kafka does not take its event, or the artifact store its model;
                nothing else may be decided.
        """
        with self.registry.locked():
            try:
                decision = Decision.model_validate_json(self._journal.read_bytes())
            except FileNotFoundError:
                return None
            except ValidationError as error:
                raise RegistryError(
                    f"{self._journal} cannot be read ({error}): it is a decision that was not "
                    "finished; move it away to decide anew"
                ) from None
            _LOG.info("finishing the decision about %s", decision.event.model_id)
            self._complete(decision)
            return decision

    def memory(self) -> Memory:
        """What is remembered; a file that cannot be read is forgotten, and that is logged."""
        try:
            return Memory.model_validate_json(self._memory.read_bytes())
        except FileNotFoundError:
            return Memory()
        except ValidationError:
            _LOG.warning("%s cannot be read; counting from the beginning", self._memory)
            return Memory()

    def needed(self) -> frozenset[str]:
        """Models that must not be pruned: shadows, and what an unfinished decision is about."""
        found = {each.model_id for each in self.memory().shadows}
        if self._journal.exists():
            found.add(Decision.model_validate_json(self._journal.read_bytes()).event.model_id)
        return frozenset(found)

    def remember(self, memory: Memory) -> None:
        """Replace the memory."""
        files.replace_file(self._memory, memory.model_dump_json(indent=1).encode())

    def _complete(self, decision: Decision) -> None:
        event = decision.event
        if event.action in ("promoted", "shadow"):  # a shadow can be tried on live queries
            self._store(event.model_id)
        if decision.report:
            self.registry.save_report(event.model_id, decision.report)
        if event.action == "rolled_back":
            if self.registry.current_id() == event.model_id:
                self.registry.rollback(event.reason, event.ts)
            self._point_and_publish(event)
        else:
            self.publish(event)
            self._promote(decision)
        self.remember(_after(self.memory(), decision))
        files.remove_file(self._journal)

    def _promote(self, decision: Decision) -> None:
        event = decision.event
        if event.action != "promoted":
            return
        try:
            self.registry.promote(
                event.model_id, event.reason, event.ts, measured=decision.measured
            )
            self._point()
        except NotApplicableError as error:
            # Only where the alias was changed without the lock, by hand or on a file system
            # without locks: what was announced is taken back rather than left wrong.
            _LOG.error("a promotion was announced and cannot be made: %s", error)
            self.publish(taken_back(event, str(error)))

    def _store(self, model_id: str) -> None:
        if self.artifacts is not None:
            self.artifacts.put(self.registry.get(model_id))

    def _point(self) -> None:
        if self.artifacts is not None:
            self.artifacts.point(self.registry.alias_as_json())

    def _point_and_publish(self, event: ModelEvent) -> None:
        """Both, whichever of the two fails: who hears of a rollback in one way goes back."""
        try:
            self._point()
        finally:
            self.publish(event)

    def _applicable(self, decision: Decision) -> Decision:
        """The decision, or the shadow that is left of a promotion that cannot be made."""
        event, serving = decision.event, self.registry.current_id()
        if event.action != "promoted" or serving == event.model_id:
            return decision
        held = next((e for e in self.registry.holds() if e.model_id == event.model_id), None)
        if serving == decision.measured and held is None:
            return decision
        why = (
            f"it was rolled back on {held.at:%Y-%m-%d} ({held.reason}), and `ragwheel models allow "
            f"{event.model_id}` lifts that"
            if held
            else f"{serving or 'the base model'} serves by now, and the candidate was measured "
            f"against {decision.measured or 'the base model'}"
        )
        reason = f"not promoted: {why}. Measured: {event.reason}"
        event = event.model_copy(
            update={
                "action": "shadow",
                "reason": reason,
                "event_id": identity.digest("not applied", event.event_id, why),
            }
        )
        shadow = Shadow(
            model_id=event.model_id,
            measured=decision.measured,
            since=event.ts,
            answered=decision.answered or 0,
            missing=0,
        )
        report = dict(decision.report)
        report["verdict"] = {**report.get("verdict", {}), "action": "shadow", "reason": reason}
        look = decision.look and decision.look.model_copy(update={"promoted": False})
        return decision.model_copy(
            update={"event": event, "shadow": shadow, "report": report, "look": look}
        )

    @property
    def _journal(self) -> Path:
        return self.registry.root / "decision.json"

    @property
    def _memory(self) -> Path:
        return self.registry.root / "trainer.json"


def taken_back(event: ModelEvent, why: str) -> ModelEvent:
    """The event that a promotion which was announced is none."""
    return event.model_copy(
        update={
            "event_id": identity.digest("taken back", event.event_id),
            "action": "rolled_back",
            "reason": why,
            "metrics": (),
        }
    )


@contextmanager
def alone(registry: ModelRegistry) -> Iterator[None]:
    """Be the only trainer on this model directory; ends with the process, however that ends.

    Raises:
        BusyError: another trainer is in a cycle.
    """
    registry.root.mkdir(parents=True, exist_ok=True)
    lock = FileLock(registry.root / "cycle.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise BusyError(
            f"another trainer is in a cycle on {registry.root}, as `ragwheel up` runs one: wait "
            "for its verdict (`ragwheel models`), or stop it"
        ) from None
    try:
        yield
    finally:
        lock.release()


def _after(memory: Memory, decision: Decision) -> Memory:
    """The memory with a decision in it; the same decision again changes nothing."""
    event = decision.event
    shadows = tuple(each for each in memory.shadows if each.model_id != event.model_id)
    if decision.shadow is not None:
        shadows = (*shadows, decision.shadow)
    looks, look = memory.looks, decision.look
    if look is not None:
        looks = (*(each for each in looks if each.gate_id != look.gate_id), look)
    change: dict[str, object] = {"shadows": shadows, "looks": looks}
    if decision.answered is not None:
        change |= {"answered": decision.answered, "at": event.ts}
    return memory.model_copy(update=change)
