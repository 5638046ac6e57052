"""The world of a cycle: everything that it reads, asks, keeps and tells."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from ragwheel.models.artifacts import ArtifactStore
from ragwheel.models.registry import ModelRegistry
from ragwheel.models.vectors import VectorCache
from ragwheel.schemas.events import GradingJob, ModelEvent
from ragwheel.trainers.data.store import WheelStore
from ragwheel.trainers.proof.judging import Judge
from ragwheel.trainers.proof.looks import PastGate
from ragwheel.trainers.settle import Settlement


@dataclass(frozen=True, slots=True)
class Parts:
    """The world of a cycle.

    Attributes:
        publish: sends a ModelEvent; returns when it is durable.
        now: UTC time.
        ask: has jobs graded and does not wait; returns when they are durable.
        progress: called with (stage, done, total); may raise to stop the cycle.
        tell: called with a line for whoever waits, such as what is about to cost time.
        artifacts: see `Settlement`.
    """

    store: WheelStore
    judge: Judge
    registry: ModelRegistry
    cache: VectorCache
    publish: Callable[[ModelEvent], None]
    now: Callable[[], datetime]
    progress: Callable[[str, int, int], None] = lambda stage, done, total: None
    ask: Callable[[Sequence[GradingJob]], None] = lambda jobs: None
    tell: Callable[[str], None] = lambda said: None
    artifacts: ArtifactStore | None = None

    @property
    def settlement(self) -> Settlement:
        """Makes decisions come true."""
        return Settlement(self.registry, self.publish, self.artifacts)

    def past_gates(self) -> list[PastGate]:
        """Gates that were decided, oldest first: those of other disks as ClickHouse knows them, so
        that a trainer on a new one spends no second budget, then those of this one.

        Its own stay last even where ClickHouse has forgotten them: an old promotion that came
        after newer gates would begin their series anew.

        Raises:
            UnavailableError: ClickHouse does not answer.
        """
        landed = {
            each.event_id: PastGate(each.event_id, each.action == "promoted", each.query_hashes)
            for each in self.store.used_gate_queries()
        }
        own = {
            each.gate_id: PastGate(each.gate_id, each.promoted, frozenset(each.query_hashes))
            for each in self.settlement.memory().looks
        }
        return [*(landed[each] for each in landed if each not in own), *own.values()]
