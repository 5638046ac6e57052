"""`ragwheel topics`."""

from __future__ import annotations

from typing import Annotated

import typer

from ragwheel.cli.command import Command, Connection, DryRun, Json


def run(
    dry_run: DryRun = False,
    replication: Annotated[
        int, typer.Option(metavar="N", help="copies of each partition; -1 is the broker's default")
    ] = -1,
    partitions: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="partitions of each topic that has several (default: as registered)"
        ),
    ] = None,
    as_json: Json = False,
    home: Connection = None,
) -> int:
    from ragwheel.backends.kafka import create_topics, missing_topics, require_broker
    from ragwheel.cli.connection import connect_to
    from ragwheel.cli.output import show, show_json
    from ragwheel.cli.reports import Topics
    from ragwheel.schemas.settings import KafkaSettings, load

    connect_to(home)
    settings = load(KafkaSettings)
    if dry_run:
        names = sorted(missing_topics(settings))
    else:
        require_broker(settings)
        names = sorted(create_topics(settings, replication=replication, partitions=partitions))
    if as_json:
        show_json(Topics(dry_run, names))
    else:
        verb = "would create" if dry_run else "created"
        show(*(f"{verb} {name}" for name in names) if names else ("all topics exist",))
    return 0


COMMAND = Command(
    run=run,
    details="""\
Names, partitions and retention come from the topic registry (ragwheel.schemas.topics). Topics that
exist are left as they are.""",
    examples=("ragwheel topics --dry-run", "ragwheel topics --replication 3 --partitions 24"),
)
