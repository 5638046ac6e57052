"""The trainer process: checks, signals, and the loop that trains."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from threading import Event

from ragwheel.backends import kafka, process
from ragwheel.backends.telemetry import Telemetry
from ragwheel.models.encoder import load_encoder
from ragwheel.schemas.errors import UnavailableError
from ragwheel.schemas.settings import TrainerSettings
from ragwheel.trainers.stages import progress_text
from ragwheel.trainers.trainer import Trainer

_LOG = logging.getLogger(__name__)

#: A stage that takes long says so in the log each time this share of it is done.
_LOG_EVERY = 0.25
#: No step of a cycle is silent for so long, not even a large batch on a slow machine.
_SILENCE_S = 3_600.0


def main() -> int:
    """Train whenever there is enough data, until SIGTERM or Ctrl-C; returns the exit status."""
    return process.main("trainer", TrainerSettings, run)


def run(settings: TrainerSettings, telemetry: Telemetry) -> None:
    """Serve metrics and train until a signal says stop.

    Raises:
        ConfigError, UnavailableError: before anything was trained; a base model that cannot be
            loaded is a wrong setting.
    """
    kafka.require_topics(settings, ("grading", "models"))
    turned = partial(telemetry.turned, _SILENCE_S + settings.train_interval_s)
    stop = Stop(turned)
    process.on_stop(stop.set)
    progress = LoggedProgress(turned)
    with Trainer(settings, stop=stop, progress=progress, telemetry=telemetry) as trainer:
        # Now rather than after hours of waiting for data: a wrong base model must not start.
        load_encoder(settings.base_model, settings.max_seq_length, settings.prompts)
        telemetry.serve(settings)
        trainer.scheduler.show_serving()
        try:
            trainer.scheduler.show_last()
        except UnavailableError as error:  # no tables yet, say; the next gate shows its figures
            _LOG.warning("quality is shown after the next gate: %s", error)
        _LOG.info(
            "training when %d answered queries are new, looking every %.0f s",
            settings.train_min_queries,
            settings.train_interval_s,
        )
        trainer.scheduler.loop(stop)
    _LOG.info("trainer ended")


class Stop(Event):
    """The wish to end. Each wait for it is a turn of the loop."""

    def __init__(self, turned: Callable[[], None]) -> None:
        super().__init__()
        self._turned = turned

    def wait(self, timeout: float | None = None) -> bool:
        self._turned()
        return super().wait(timeout)


class LoggedProgress:
    """Writes a line per quarter of a stage. Each step is a turn of the loop."""

    def __init__(self, turned: Callable[[], None]) -> None:
        self._turned = turned
        self._last: tuple[str, int] = ("", 0)

    def __call__(self, stage: str, done: int, total: int) -> None:
        self._turned()
        quarter = int(done / max(1, total) / _LOG_EVERY)
        if (stage, quarter) != self._last:
            self._last = (stage, quarter)
            _LOG.info("%s", progress_text(stage, done, total))
