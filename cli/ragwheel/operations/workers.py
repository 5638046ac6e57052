"""The workers: how each is started, and what it needs installed."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

WorkerName = Literal["intake", "accounts", "grader", "trainer", "server"]
WORKERS: tuple[WorkerName, ...] = get_args(WorkerName)


@dataclass(frozen=True, slots=True)
class WorkerKind:
    """One kind of worker.

    Attributes:
        module: what `python -m` runs; it ends with an exit status of its own.
        extra: of ragwheel, with the packages that it needs.
    """

    module: str
    extra: str


KINDS: Mapping[WorkerName, WorkerKind] = {
    "intake": WorkerKind("ragwheel.intake", "streams"),
    "accounts": WorkerKind("ragwheel.accounting", "streams"),
    "grader": WorkerKind("ragwheel.grading", "streams"),
    "trainer": WorkerKind("ragwheel.trainers", "trainers"),
    "server": WorkerKind("ragwheel.serving", "serving"),
}


def worker_argv(name: WorkerName) -> list[str]:
    """Command line of a worker; `[0]` is the program."""
    return [sys.executable, "-m", KINDS[name].module]
