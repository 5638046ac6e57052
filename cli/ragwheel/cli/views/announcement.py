"""What `ragwheel up` prints when everything runs."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Group
from rich.text import Text

from ragwheel.cli.output import right, table
from ragwheel.operations.credentials import CLICKHOUSE_URL, shell_value
from ragwheel.operations.running import ProcessState


@dataclass(frozen=True, slots=True)
class Announcement:
    """What runs where. `pid` holds the stack; `env` leads others to it.

    Attributes:
        stand_in: a stand-in grades instead of an LLM.
    """

    home: str
    pid: int
    stand_in: bool
    env: Mapping[str, str]
    processes: Sequence[ProcessState]


_STAND_IN = Text(
    "Grades come from a stand-in that is no LLM: for trying things out, not for training on.",
    "bold yellow",
)


def tables(report: Announcement) -> Group:
    """Addresses, variables to export, what to do next."""
    rows = [
        (
            process.name,
            process.address or f"http://127.0.0.1:{process.metrics_port}/metrics",
            right(process.pid),
        )
        for process in report.processes
    ]
    # Never wrapped: they are copied into a shell.
    exports = Text(
        "\n".join(f"  export {name}={_value(report, name)}" for name in report.env),
        no_wrap=True,
        overflow="ignore",
    )
    return Group(
        "",
        table(("process", "address", "pid"), rows),
        "",
        Text("for services and other tools:", "bold"),
        exports,
        "",
        Text("in another terminal:", "bold"),
        "  ragwheel status · ragwheel emit --file events.jsonl · ragwheel logs --follow",
        "",
        Group(*((_STAND_IN, "") if report.stand_in else ())),
        f"Ctrl-C stops everything; the data stay in {report.home}",
    )


def _value(report: Announcement, name: str) -> str:
    """For a shell. The password of the stack's own ClickHouse is read there, and shown nowhere."""
    local = any(process.name == "clickhouse" for process in report.processes)
    if name == CLICKHOUSE_URL and local:
        return shell_value(report.env[name], Path(report.home))
    return shlex.quote(report.env[name])
