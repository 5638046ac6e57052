"""The console script `ragwheel`: what needs no parser is answered at once, the rest is parsed."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from ragwheel.cli.commands import COMPLETION, front_page
from ragwheel.operations.extras import install_command, missing_packages


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    if missing := missing_packages("cli"):
        fix = install_command("cli")
        print(f"ragwheel: {', '.join(missing)} is not available: {fix}", file=sys.stderr)
        return 78
    if COMPLETION not in os.environ and arguments in ([], ["-h"], ["--help"]):
        print(front_page(), end="", file=sys.stdout if arguments else sys.stderr)
        return 0 if arguments else 2
    # Not before: the parser takes longer to load than help needs to be printed.
    from ragwheel.cli.command import parser

    try:
        parser().main(arguments, prog_name="ragwheel", complete_var=COMPLETION)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0
