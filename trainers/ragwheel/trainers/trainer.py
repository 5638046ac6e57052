"""A trainer wired to the real Kafka, ClickHouse and file system."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Event
from typing import TYPE_CHECKING, Self

from ragwheel.backends.migrate import open_tables
from ragwheel.backends.publish import Outgoing, Publisher
from ragwheel.backends.telemetry import Telemetry
from ragwheel.models.artifacts import ArtifactStore
from ragwheel.models.registry import ModelRegistry, Promotion, RegistryError
from ragwheel.models.vectors import VectorCache
from ragwheel.schemas.events import GradingJob, ModelEvent
from ragwheel.schemas.settings import TrainerSettings
from ragwheel.trainers.data.store import WheelReader
from ragwheel.trainers.parts import Parts
from ragwheel.trainers.proof.judging import PublishingJudge
from ragwheel.trainers.reporting import promotion_event, rollback_event
from ragwheel.trainers.scheduler import CycleStoppedError, Scheduler
from ragwheel.trainers.settle import Decision

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

_LOG = logging.getLogger(__name__)
CycleProgress = Callable[[str, int, int], None]
"""Called with (stage, done, total)."""


@dataclass(frozen=True, slots=True)
class RollbackResult:
    """What `Trainer.roll_back` did.

    Attributes:
        rolled_back: the model that no longer serves.
        serving: the model that serves now, or the base model.
    """

    rolled_back: str
    serving: str


@dataclass(frozen=True, slots=True)
class PromotionResult:
    """What `Trainer.promote` did.

    Attributes:
        promoted: the model that serves now.
        replaced: what served before: a model, or the base model.
    """

    promoted: str
    replaced: str


def require_promotable(registry: ModelRegistry, model_id: str, *, force: bool) -> None:
    """Check that a person may promote a model.

    Raises:
        RegistryError: says what stands against it and what lifts that.
    """
    if registry.current_id() == model_id:
        raise RegistryError(f"model {model_id} is promoted already")
    if held := next((each for each in registry.holds() if each.model_id == model_id), None):
        raise RegistryError(
            f"model {model_id} was rolled back on {held.at:%Y-%m-%d} ({held.reason}): `ragwheel "
            f"models allow {model_id}` lifts that"
        )
    verdict = verdict_of(registry.report(model_id))
    if not force and verdict in ("", "refused"):
        said = "was refused by its gate" if verdict else "was decided on by no gate"
        raise RegistryError(
            f"model {model_id} {said} (`ragwheel models explain {model_id}` says why): --force "
            "promotes it all the same"
        )


def verdict_of(report: Mapping[str, object] | None) -> str:
    """`promoted`, `shadow` or `refused`, as the gate had it; empty without a report."""
    verdict = (report or {}).get("verdict")
    return str(verdict.get("action", "")) if isinstance(verdict, dict) else ""


class Trainer:
    """A trainer wired to the real Kafka, ClickHouse and file system. Use as a context manager."""

    def __init__(
        self,
        settings: TrainerSettings,
        *,
        stop: Event | None = None,
        progress: CycleProgress | None = None,
        tell: Callable[[str], None] | None = None,
        telemetry: Telemetry | None = None,
    ) -> None:
        """Connects to ClickHouse.

        Args:
            stop: when set, a running cycle ends with CycleStoppedError at its next step.
            tell: as in `Parts`; goes to the log when left out.

        Raises:
            ConfigError, UnavailableError: ClickHouse cannot be used, or its tables are missing.
        """
        self._settings = settings
        self._stop = stop or Event()
        self._progress = progress
        self._client: Client = open_tables(settings)
        self._publisher = Publisher(settings)
        self.telemetry = telemetry or Telemetry("trainer")
        self.registry = ModelRegistry(settings.model_dir)
        store = WheelReader(self._client)
        self.scheduler = Scheduler(
            Parts(
                store=store,
                judge=PublishingJudge(
                    self._ask, store, timeout_s=settings.judge_timeout_s, stop=self._stop
                ),
                ask=self._ask,
                registry=self.registry,
                cache=VectorCache(
                    settings.vector_cache_dir, settings.embed_workers, settings.embed_on
                ),
                publish=self._announce,
                now=_now,
                progress=self._report,
                tell=tell or _LOG.info,
                artifacts=remote_artifacts(settings),
            ),
            settings,
            self.telemetry,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def promotions(self) -> tuple[Promotion, ...]:
        """The line of promotions that leads to the model in service, oldest first."""
        return self.registry.promotions()

    def roll_back(self, reason: str) -> RollbackResult:
        """Let the model before the current one serve again, and tell everybody.

        It stays rolled back: neither equal data nor the next few labels promote it again.

        Raises:
            RegistryError: nothing was ever promoted.
            UnavailableError: the alias is changed, and Kafka did not take the event; the next
                start of a trainer sends it.
        """
        base_model, registry = self._settings.base_model, self.registry
        settlement = self.scheduler.parts.settlement
        answered = self.scheduler.parts.store.count_answered()
        with registry.locked():
            settlement.finish()
            line = [each.model_id for each in registry.promotions()]
            if not line:
                raise RegistryError("nothing to roll back: the base model serves")
            serving = line[-2] if len(line) > 1 else base_model
            event = rollback_event(
                line[-1], serving, base_model=base_model, reason=reason, at=_now()
            )
            try:
                settlement.settle(Decision(event=event, answered=answered))
            finally:
                self.scheduler.show_serving()
        return RollbackResult(line[-1], serving)

    def promote(self, model_id: str, reason: str, *, force: bool = False) -> PromotionResult:
        """Let a model serve by hand, and tell everybody; recorded as a promotion with the reason.

        Args:
            force: although its gate refused it, or none has decided about it.

        Raises:
            RegistryError: there is no such model, it was changed, it serves already, it is held, or
                its verdict does not allow it.
            UnavailableError: the decision is made, and Kafka or the artifact store did not take
                its part; the next start of a trainer completes it.
        """
        registry, settlement = self.registry, self.scheduler.parts.settlement
        with registry.locked():
            settlement.finish()
            model, before = registry.get(model_id), registry.current_id()
            registry.verify(model_id)
            require_promotable(registry, model_id, force=force)
            event = promotion_event(
                model, before or self._settings.base_model, reason=f"by hand: {reason}",
                uri=settlement.url_of(model_id), at=_now(),
            )  # fmt: skip
            try:
                settlement.settle(Decision(event=event, measured=before))
            finally:
                self.scheduler.show_serving()
        return PromotionResult(model_id, before or self._settings.base_model)

    def _announce(self, event: ModelEvent) -> None:
        self._publisher.publish([Outgoing.of("models", event)])

    def _ask(self, jobs: Sequence[GradingJob]) -> None:
        self._publisher.publish(Outgoing.of("grading", job) for job in jobs)

    def _report(self, stage: str, done: int, total: int) -> None:
        if self._stop.is_set():
            raise CycleStoppedError(f"stopped during {stage}")
        if self._progress is not None:
            self._progress(stage, done, total)


def remote_artifacts(settings: TrainerSettings) -> ArtifactStore | None:
    """Where promoted models are put; None: they are served from the model directory itself.

    Raises:
        ConfigError, DependencyError: the setting names no store that can be opened here.
    """
    store = ArtifactStore(settings.artifacts) if settings.artifacts else None
    return None if store is None or store.is_at(settings.model_dir) else store


def _now() -> datetime:
    return datetime.now(UTC)
