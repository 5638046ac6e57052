"""When to train: looks at the data threshold now and then, and survives a failed cycle."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from threading import Event

from ragwheel.backends.telemetry import Telemetry
from ragwheel.models.pruning import PruningPolicy, prune
from ragwheel.models.serving_seen import unseen_s
from ragwheel.schemas import metrics
from ragwheel.schemas.errors import RagwheelError, TransientError
from ragwheel.schemas.settings import TrainerSettings
from ragwheel.trainers.alarms import firing_alert
from ragwheel.trainers.cycle import CycleResult, run_again, run_cycle
from ragwheel.trainers.evaluating import LabelReport, evaluate_labels, read_evaluation
from ragwheel.trainers.gauges import (
    show_figures,
    show_progress,
    show_result,
    show_serving,
    show_unseen,
)
from ragwheel.trainers.keeping import SnapshotKeeper
from ragwheel.trainers.ladder import Pace, evaluation_is_due, next_training
from ragwheel.trainers.lanes.contracts import TrainingFailedError
from ragwheel.trainers.parts import Parts
from ragwheel.trainers.reading import NotEnoughDataError
from ragwheel.trainers.settle import BusyError, Decision, Shadow, alone
from ragwheel.trainers.shadows import ShadowRules, expired, expiry_event, is_ripe

_LOG = logging.getLogger(__name__)


class CycleStoppedError(RagwheelError):
    """The process was asked to end in the middle of a cycle. Nothing was promoted."""


@dataclass(frozen=True, slots=True)
class TrainingProgress:
    """Distance to the next training, in queries with a relevant label.

    Attributes:
        available: new since the last one.
        threshold: how many new ones begin the next, whatever the clock says.
        reason: why it is due or not, in words.
    """

    available: int
    threshold: int
    due: bool
    reason: str


def pace_of(settings: TrainerSettings) -> Pace:
    """When trainings are due, as the settings say it."""
    days = settings.train_max_age_days
    return Pace(settings.train_min_queries, every=timedelta(days=days) if days else None)


@dataclass(frozen=True, slots=True)
class Scheduler:
    """Runs a cycle at a first number of answered queries and at each doubling, on a schedule and
    on an alert (`ladder`).

    Before the first training it reports what is in service; between cycles it judges shadows again.
    Its memory is in the model directory, so that a restart
    does not train again, and one trainer at a time decides there.
    """

    parts: Parts
    settings: TrainerSettings
    telemetry: Telemetry
    run: Callable[[Parts, TrainerSettings], CycleResult] = run_cycle
    again: Callable[[Parts, TrainerSettings, Shadow], CycleResult] = run_again
    evaluate: Callable[[Parts, TrainerSettings], LabelReport] = evaluate_labels
    alert: Callable[[str], str] = firing_alert
    keeper: SnapshotKeeper = field(default_factory=SnapshotKeeper)

    def progress(self) -> TrainingProgress:
        """Count what is new, and show it."""
        answered, memory = self.parts.store.count_answered(), self.parts.settlement.memory()
        url = self.settings.train_alerts_url
        due = next_training(
            answered, memory.answered, memory.at, self.parts.now(), pace_of(self.settings),
            self.alert(url) if url else "",
        )  # fmt: skip
        available, threshold = max(0, answered - memory.answered), due.target - memory.answered
        show_progress(self.telemetry, available, threshold)
        return TrainingProgress(available, threshold, due.due, due.reason)

    def check(self) -> CycleResult | None:
        """Train if it is time, else judge a shadow again if it is ripe; None if neither. Where
        the ladder says so, a report of what is in service is made in between.

        Raises:
            BusyError: another trainer is in a cycle.
            UnavailableError: ClickHouse or Kafka does not answer.
        """
        with alone(self.parts.registry):
            self.parts.settlement.finish()
            self.keeper.keep(self.parts, self.settings)
            if self.progress().due:
                return self._train()
            self._evaluate()
            return self._look_again()

    def train(self) -> CycleResult:
        """Run a cycle now, whatever the threshold says.

        Raises:
            BusyError, UnavailableError: as `check`.
        """
        with alone(self.parts.registry):
            self.parts.settlement.finish()
            self.keeper.keep(self.parts, self.settings)
            return self._train()

    def _train(self) -> CycleResult:
        answered = self.parts.store.count_answered()
        try:
            result = self.run(self.parts, self.settings)
        except TrainingFailedError:
            # Equal data diverge again: wait for more.
            settlement = self.parts.settlement
            seen = {"answered": answered, "at": self.parts.now()}
            settlement.remember(settlement.memory().model_copy(update=seen))
            raise
        self._tell(result)
        self.progress()
        return result

    def _evaluate(self) -> None:
        """Report what is in service; once a training was done, its gate says more."""
        answered, last = self.parts.store.count_answered(), read_evaluation(self.settings.model_dir)
        trained = self.parts.settlement.memory().answered
        if trained or not evaluation_is_due(answered, last.answered if last else 0):
            return
        for line in self.evaluate(self.parts, self.settings).lines():
            _LOG.info("evaluation: %s", line)

    def _look_again(self) -> CycleResult | None:
        """Judge the first shadow that is ripe; let those go that are old."""
        settlement = self.parts.settlement
        answered = self.parts.store.count_answered()
        rules, serving = ShadowRules(), self.parts.registry.current_id()
        for shadow, why in expired(settlement.memory().shadows, self.parts.now(), rules):
            manifest = self.parts.registry.get(shadow.model_id).manifest
            event = expiry_event(shadow, manifest.base_model, why, self.parts.now())
            settlement.settle(Decision(event=event))
        for shadow in settlement.memory().shadows:
            if is_ripe(shadow, answered, serving, self.settings.gate_share, rules):
                result = self.again(self.parts, self.settings, shadow)
                self._tell(result)
                return result
        return None

    def _tell(self, result: CycleResult) -> None:
        show_result(self.telemetry, result)
        self.show_serving()
        pruned = prune(
            self.parts.registry, self.settings.vector_cache_dir, self.parts.now(),
            PruningPolicy(self.settings.keep_models, self.settings.keep_vectors_days),
            self.parts.settlement.needed(),
        )  # fmt: skip
        if pruned.models or pruned.vectors:
            _LOG.info("pruned %d models, %d folders of vectors", *map(len, pruned))

    def show_last(self) -> None:
        """Show what the last gate measured, as before this process was there.

        Raises:
            UnavailableError: ClickHouse does not answer.
        """
        show_figures(self.telemetry, self.parts.store.last_figures())

    def show_serving(self) -> None:
        """Show which model serves."""
        show_serving(self.telemetry, self.parts.registry, self.settings.base_model)

    def show_unseen(self) -> None:
        """Show since when the promoted model has been waiting for its first query.

        Raises:
            UnavailableError: ClickHouse does not answer.
        """
        line = self.parts.registry.promotions()
        seconds = 0.0
        if line:
            seen, now = self.parts.store.seen_models(), self.parts.now()
            seconds = unseen_s(seen, line[-1].model_id, line[-1].at, now)
        show_unseen(self.telemetry, seconds, self.settings.served_within_hours)

    def loop(self, stop: Event) -> None:
        """Check until `stop` is set. A failed cycle is counted, logged and tried again later."""
        while not stop.is_set():
            try:
                self.show_unseen()
                self.check()
            except BusyError as error:
                _LOG.info("%s", error)
            except CycleStoppedError:
                _LOG.info("stopped in the middle of a cycle; it starts again with the process")
            except NotEnoughDataError as error:
                _LOG.info("no training yet: %s", error)
            except TransientError as error:
                _LOG.warning("%s; trying again in %.0f s", error, self.settings.train_interval_s)
                self.telemetry.inc(metrics.TRAIN_CYCLES, verdict="failed")
            except Exception:  # noqa: BLE001 - process edge: a failed cycle must not end the wheel
                _LOG.exception("a training cycle failed; the model in service stays")
                self.telemetry.inc(metrics.TRAIN_CYCLES, verdict="failed")
            stop.wait(self.settings.train_interval_s)
