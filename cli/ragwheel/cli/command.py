"""What a command is, and the options that several share.

Nothing here or at the top of a command's file may import more than the standard library:
`ragwheel --help` answers at once and works with no extra installed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

#: Exit statuses that every command may end with. Others are told by `--help` of the command.
COMMON_EXITS = {
    0: "done",
    2: "the command line cannot be read",
    69: "a broker, database or endpoint does not answer",
    78: "a setting is wrong or a package is missing; the message names the fix",
    130: "ended by Ctrl-C",
}


@dataclass(frozen=True)
class Command:
    """One command of `ragwheel`.

    Attributes:
        name: what is typed.
        purpose: one line, lower case, no full stop.
        details: paragraphs of `--help` between purpose and options.
        examples: command lines as they are typed.
        configure: adds the options.
        run: does it and returns the exit status; raises RagwheelError.
        exits: exit statuses beyond `COMMON_EXITS`, with their meaning.
    """

    name: str
    purpose: str
    examples: tuple[str, ...]
    configure: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]
    details: str = ""
    exits: tuple[tuple[int, str], ...] = ()

    def epilog(self) -> str:
        """Examples and exit statuses, as printed below the options."""
        examples = "\n".join(f"  {example}" for example in self.examples)
        known = sorted({**COMMON_EXITS, **dict(self.exits)}.items())
        exits = "\n".join(f"  {status:>3}  {meaning}" for status, meaning in known)
        return f"examples:\n{examples}\n\nexit status:\n{exits}"


def add_home(parser: argparse.ArgumentParser, purpose: str) -> None:
    """`--home`, with what the command uses it for."""
    parser.add_argument(
        "--home",
        type=Path,
        metavar="DIR",
        help=f"{purpose} (default: $RAGWHEEL_HOME, else ./.ragwheel)",
    )


def add_connection(parser: argparse.ArgumentParser) -> None:
    """`--home` for commands that talk to a broker or database; see `connection.connect_to`."""
    add_home(
        parser,
        "use the stack that `ragwheel up` runs there, unless RAGWHEEL_KAFKA_BOOTSTRAP_SERVERS or "
        "RAGWHEEL_CLICKHOUSE_URL say where to go",
    )


def no_options(_parser: argparse.ArgumentParser) -> None:
    """For commands without options of their own."""
