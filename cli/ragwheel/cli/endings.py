"""How a command ends: errors become one line on stderr and an exit status."""

from __future__ import annotations

import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable

_INTERRUPTED = 130
_TERMINATED = 143
_BROKEN_PIPE = 141


def ended(run: Callable[[], int], *, debug: bool) -> int:
    """Run a command's work and return its exit status; a programmer's error is passed on."""
    from ragwheel.schemas.errors import RagwheelError

    debug = debug or _log_level_is_debug()
    _configure_logging(debug=debug)
    # Unwinds like Ctrl-C, so that `with` blocks end what they started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(_TERMINATED))
    try:
        status = run()
        sys.stdout.flush()
        return status
    except RagwheelError as error:
        if debug:
            traceback.print_exc()
        print(f"ragwheel: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("ragwheel: interrupted", file=sys.stderr)
        return _INTERRUPTED
    except BrokenPipeError:
        # The reader of our output is gone (`ragwheel … | head`); what is left has no place to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _BROKEN_PIPE


def _configure_logging(*, debug: bool) -> None:
    """Our warnings on stderr; of libraries only errors: our one line tells failures better."""
    handler = logging.StreamHandler()
    if not debug:
        handler.addFilter(
            lambda record: record.name.startswith("ragwheel") or record.levelno >= logging.ERROR
        )
    logging.basicConfig(
        level=logging.DEBUG if debug else logging.WARNING,
        format="%(levelname)s %(name)s: %(message)s",
        handlers=[handler],
    )


def _log_level_is_debug() -> bool:
    from ragwheel.schemas.errors import ConfigError
    from ragwheel.schemas.loading import load
    from ragwheel.schemas.settings import MetricsSettings

    try:
        return load(MetricsSettings).log_level == "DEBUG"
    except ConfigError:
        return False  # the command that needs the settings will say what is wrong with them
