"""When to train: looks at the data threshold now and then, and survives a failed cycle."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from threading import Event

from pydantic import BaseModel, ConfigDict, ValidationError

from ragwheel.backends import files
from ragwheel.backends.telemetry import Telemetry
from ragwheel.schemas import metrics
from ragwheel.schemas.errors import RagwheelError, TransientError
from ragwheel.schemas.settings import TrainerSettings
from ragwheel.trainers.cycle import CycleResult, NotEnoughDataError, Parts, run_cycle
from ragwheel.trainers.gauges import show_figures, show_progress, show_result, show_serving

_LOG = logging.getLogger(__name__)


class CycleStoppedError(RagwheelError):
    """The process was asked to end in the middle of a cycle. Nothing was promoted."""


class _State(BaseModel):
    """What the last finished cycle had seen."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    answered: int = 0
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class TrainingProgress:
    """Distance to the next training, in queries with a relevant label."""

    available: int
    threshold: int

    @property
    def due(self) -> bool:
        """Whether there is enough new data."""
        return self.available >= self.threshold


@dataclass(frozen=True, slots=True)
class Scheduler:
    """Runs a cycle whenever `train_min_queries` answered queries are new since the last one.

    Keeps its memory in the model directory, so that a restart does not train again.
    """

    parts: Parts
    settings: TrainerSettings
    telemetry: Telemetry
    run: Callable[[Parts, TrainerSettings], CycleResult] = run_cycle

    def progress(self) -> TrainingProgress:
        """Count what is new, and show it."""
        answered = self.parts.store.count_answered()
        available = max(0, answered - self._state().answered)
        show_progress(self.telemetry, available, self.settings.train_min_queries)
        return TrainingProgress(available, self.settings.train_min_queries)

    def check(self) -> CycleResult | None:
        """Train if it is time; None when it is not."""
        return self.train() if self.progress().due else None

    def train(self) -> CycleResult:
        """Run a cycle now, whatever the threshold says."""
        answered = self.parts.store.count_answered()
        show_progress(self.telemetry, 0, self.settings.train_min_queries)
        result = self.run(self.parts, self.settings)
        self._remember(_State(answered=answered, at=self.parts.now()))
        show_result(self.telemetry, result)
        self.show_serving()
        return result

    def show_last(self) -> None:
        """Show what the last gate measured, as before this process was there.

        Raises:
            UnavailableError: ClickHouse does not answer.
        """
        show_figures(self.telemetry, self.parts.store.last_figures())

    def show_serving(self) -> None:
        """Show which model serves."""
        show_serving(self.telemetry, self.parts.registry, self.settings.base_model)

    def loop(self, stop: Event) -> None:
        """Check until `stop` is set. A failed cycle is counted, logged and tried again later."""
        while not stop.is_set():
            try:
                self.check()
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

    @property
    def _state_path(self) -> Path:
        return self.settings.model_dir / "scheduler.json"

    def _state(self) -> _State:
        try:
            return _State.model_validate_json(self._state_path.read_bytes())
        except FileNotFoundError:
            return _State()
        except ValidationError:
            _LOG.warning("%s cannot be read; counting from the beginning", self._state_path)
            return _State()

    def _remember(self, state: _State) -> None:
        files.replace_file(self._state_path, state.model_dump_json().encode())
