"""Parsing, dispatch, and how errors become one line and an exit status."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from functools import partial
from types import FrameType
from typing import NoReturn

from ragwheel.cli.command import Command
from ragwheel.cli.commands import (
    demo,
    doctor,
    emit,
    migrate,
    models,
    replay,
    status,
    topics,
    train,
    up,
    version,
    worker,
)

COMMANDS: tuple[Command, ...] = (
    demo.COMMAND,
    up.COMMAND,
    status.COMMAND,
    emit.COMMAND,
    train.COMMAND,
    models.COMMAND,
    replay.COMMAND,
    doctor.COMMAND,
    worker.COMMAND,
    migrate.COMMAND,
    topics.COMMAND,
    version.COMMAND,
)

_INTERRUPTED = 130
_TERMINATED = 143
_BROKEN_PIPE = 141


def build_parsers(
    width: int | None = None,
) -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    """The parser, and that of each command; help is `width` columns wide, or as the terminal."""
    formatter = partial(argparse.RawDescriptionHelpFormatter, width=width, max_help_position=26)
    parser = argparse.ArgumentParser(
        prog="ragwheel",
        description="The retrieval flywheel: log what was retrieved, grade it, train on it,\n"
        "promote only what is proven better.",
        epilog="Start with `ragwheel demo` or `ragwheel up`. When something is missing: "
        "`ragwheel doctor`.\nSettings are environment variables: docs/settings.md.",
        formatter_class=formatter,
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    subparsers = {}
    for command in COMMANDS:
        sub = commands.add_parser(
            command.name,
            help=command.purpose,
            description="\n\n".join(filter(None, (_sentence(command.purpose), command.details))),
            epilog=command.epilog(),
            formatter_class=formatter,
        )
        command.configure(sub)
        sub.add_argument(
            "--debug", action="store_true", help="show tracebacks and the log of every library"
        )
        sub.set_defaults(run=command.run)
        subparsers[command.name] = sub
    return parser, subparsers


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status. This is the console script `ragwheel`."""
    args = build_parsers()[0].parse_args(argv)
    # Imported after parsing: `--help` shall not wait for pydantic.
    from ragwheel.schemas.errors import RagwheelError

    debug = args.debug or _log_level_is_debug()
    _configure_logging(debug=debug)
    signal.signal(signal.SIGTERM, _terminate)
    try:
        status: int = args.run(args)
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
    from ragwheel.schemas.settings import MetricsSettings, load

    try:
        return load(MetricsSettings).log_level == "DEBUG"
    except ConfigError:
        return False  # the command that needs the settings will say what is wrong with them


def _terminate(_number: int, _frame: FrameType | None) -> NoReturn:
    """SIGTERM unwinds like Ctrl-C, so that `with` blocks end what they started."""
    raise SystemExit(_TERMINATED)


def _sentence(purpose: str) -> str:
    return purpose[0].upper() + purpose[1:] + "."
