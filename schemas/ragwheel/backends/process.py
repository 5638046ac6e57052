"""The one main of a worker: settings in, exit status out."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable
from typing import TypeVar

from ragwheel.backends.telemetry import Telemetry, configure_logging
from ragwheel.schemas.errors import RagwheelError
from ragwheel.schemas.loading import load
from ragwheel.schemas.metrics import ProcessName
from ragwheel.schemas.settings import MetricsSettings

_LOG = logging.getLogger(__name__)
_Settings = TypeVar("_Settings", bound=MetricsSettings)


def main(
    name: ProcessName, kind: type[_Settings], run: Callable[[_Settings, Telemetry], None]
) -> int:
    """Read the settings, log as they say, and run until `run` returns.

    Args:
        name: whose metrics are visible from the start.
        run: does the work until a signal (see `on_stop`), and serves the telemetry once nothing
            that a person must repair stands in its way.

    Returns:
        Exit status: 0 after an orderly end, otherwise the `exit_code` of the error, which is told
        in one line: 78 for a wrong setting, 69 when Kafka, ClickHouse or the LLM does not answer
        at start or topics or tables are missing, 75 when the work broke off and shall be started
        again.
    """
    try:
        settings = load(kind)
        configure_logging(settings.log_level)
        run(settings, Telemetry(name))
    except RagwheelError as error:
        logging.basicConfig(format="%(message)s")
        _LOG.critical("%s", error)
        return error.exit_code
    return 0


def on_stop(callback: Callable[[], object]) -> None:
    """Call `callback` at SIGTERM and Ctrl-C; it should only say that the end has come.

    Called from the main thread. In an event loop, `callback` runs between two of its steps.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        try:
            asyncio.get_running_loop().add_signal_handler(number, callback)
        except RuntimeError:  # no loop runs here
            signal.signal(number, lambda *_: callback())
