"""`ragwheel worker`."""

from __future__ import annotations

from typing import Annotated

import typer

from ragwheel.cli.command import Connection, command
from ragwheel.operations.workers import WorkerName


@command(
    "ragwheel worker grader",
    "RAGWHEEL_METRICS_HOST=0.0.0.0 RAGWHEEL_METRICS_PORT=9464 ragwheel worker intake",
)
def run(
    name: Annotated[WorkerName, typer.Argument(help="which worker")], home: Connection = None
) -> int:
    """What compose and Kubernetes run. More processes of intake and grader share the topics'
    partitions; one of the others is enough. Configured by the environment (docs/settings.md).
    """
    import os
    import sys

    from ragwheel.cli.connection import connect_to
    from ragwheel.operations.extras import require_extra
    from ragwheel.operations.workers import KINDS, worker_argv

    require_extra(KINDS[name].extra)
    connect_to(home)
    sys.stderr.flush()
    # Becomes the worker: signals of a container's runtime reach it without a middleman.
    argv = worker_argv(name)
    os.execv(argv[0], argv)  # noqa: S606 - our own interpreter, no shell
