"""`ragwheel logs`."""

from __future__ import annotations

from typing import Annotated

import typer

from ragwheel.cli.command import StackHome, command, option


@command("ragwheel logs", "ragwheel logs grader --follow", "ragwheel logs intake --lines 200")
def run(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME", help="processes, as `ragwheel status` lists them"),
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="go on until Ctrl-C")] = False,
    lines: Annotated[
        int, option("N", "begin with the last N of each", "--lines", "-n", min=0)
    ] = 20,
    home: StackHome = None,
) -> int:
    """All processes by default, each line after the name of its process; one process as it wrote.
    Logs are kept when the stack ends, so that this also tells why it did.
    """
    from ragwheel.cli.views.log_lines import print_lines
    from ragwheel.operations.logs import choose_logs, read_logs
    from ragwheel.operations.running import choose_home

    logs = choose_logs(choose_home(home), names or ())
    print_lines(read_logs(logs, lines, follow=follow), names=list(logs))
    return 0
