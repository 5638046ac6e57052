"""The trainer process: checks, signals, and the loop that trains."""

from __future__ import annotations

import logging
from threading import Event

from ragwheel.backends import kafka, process
from ragwheel.backends.telemetry import Telemetry
from ragwheel.models.encoder import load_encoder
from ragwheel.schemas.settings import TrainerSettings
from ragwheel.trainers.stages import progress_text
from ragwheel.trainers.trainer import Trainer

_LOG = logging.getLogger(__name__)

#: A stage that takes long says so in the log each time this share of it is done.
_LOG_EVERY = 0.25


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
    stop = Event()
    process.on_stop(stop.set)
    progress = _LoggedProgress()
    with Trainer(settings, stop=stop, progress=progress, telemetry=telemetry) as trainer:
        # Now rather than after hours of waiting for data: a wrong base model must not start.
        load_encoder(settings.base_model, settings.max_seq_length)
        telemetry.serve(settings)
        trainer.scheduler.show_serving()
        _LOG.info(
            "training when %d answered queries are new, looking every %.0f s",
            settings.train_min_queries,
            settings.train_interval_s,
        )
        trainer.scheduler.loop(stop)
    _LOG.info("trainer ended")


class _LoggedProgress:
    """Writes a line per quarter of a stage."""

    def __init__(self) -> None:
        self._last: tuple[str, int] = ("", 0)

    def __call__(self, stage: str, done: int, total: int) -> None:
        quarter = int(done / max(1, total) / _LOG_EVERY)
        if (stage, quarter) != self._last:
            self._last = (stage, quarter)
            _LOG.info("%s", progress_text(stage, done, total))
