"""`ragwheel worker`."""

from __future__ import annotations

import argparse

from ragwheel.cli.command import Command, add_connection
from ragwheel.operations.workers import WORKERS


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", choices=WORKERS, help="which worker")
    add_connection(parser)


def run(args: argparse.Namespace) -> int:
    import os
    import sys

    from ragwheel.cli.connection import connect_to
    from ragwheel.operations.extras import require_extra
    from ragwheel.operations.workers import KINDS, worker_argv

    require_extra(KINDS[args.name].extra)
    connect_to(args.home)
    sys.stderr.flush()
    # Becomes the worker: signals of a container's runtime reach it without a middleman.
    argv = worker_argv(args.name)
    os.execv(argv[0], argv)  # noqa: S606 - our own interpreter, no shell


COMMAND = Command(
    name="worker",
    purpose="run intake, accounts, grader or trainer in the foreground",
    details="""\
What compose and Kubernetes run. More processes of intake and grader share the topics' partitions;
one of the others is enough. Configured by the environment (docs/settings.md).""",
    examples=(
        "ragwheel worker grader",
        "RAGWHEEL_METRICS_HOST=0.0.0.0 RAGWHEEL_METRICS_PORT=9464 ragwheel worker intake",
    ),
    configure=configure,
    run=run,
)
