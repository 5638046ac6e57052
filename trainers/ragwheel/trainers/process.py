"""The trainer process: settings in, exit status out."""

from __future__ import annotations

import logging
import signal
from threading import Event
from typing import TYPE_CHECKING

from ragwheel.backends import kafka
from ragwheel.backends.telemetry import configure_logging
from ragwheel.models.encoder import load_encoder
from ragwheel.schemas.errors import RagwheelError
from ragwheel.schemas.settings import TrainerSettings, load
from ragwheel.trainers.trainer import Trainer

if TYPE_CHECKING:
    pass

_LOG = logging.getLogger(__name__)

#: A stage that takes long says so in the log each time this share of it is done.
_LOG_EVERY = 0.25


def main() -> int:
    """Train whenever there is enough data, until SIGTERM or Ctrl-C.

    Returns:
        Exit status: 0 after an orderly end, 78 for a wrong setting (a base model that cannot be
        loaded among them), 69 when Kafka or ClickHouse does not answer at start.
    """
    try:
        settings = load(TrainerSettings)
        configure_logging(settings.log_level)
        run(settings)
    except RagwheelError as error:
        logging.basicConfig(format="%(message)s")
        _LOG.critical("%s", error)
        return error.exit_code
    return 0


def run(settings: TrainerSettings) -> None:
    """Serve metrics and train until a signal says stop.

    Raises:
        ConfigError, UnavailableError: before anything was trained.
    """
    kafka.require_broker(settings)
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with Trainer(settings, stop=stop, progress=_LoggedProgress()) as trainer:
        # Now rather than after hours of waiting for data: a wrong base model must not start.
        load_encoder(settings.base_model, settings.max_seq_length)
        trainer.telemetry.serve(settings)
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
            _LOG.info("%s: %d of %d", stage, done, total)
