"""`ragwheel topics`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from ragwheel.cli.command import Connection, DryRun, JsonFlag, command, option


@dataclass(frozen=True, slots=True)
class Topics:
    """Names on the broker of what was created, or would be."""

    dry_run: bool
    topics: Sequence[str]


@command("ragwheel topics --dry-run", "ragwheel topics --replication 3 --partitions 24")
def run(
    dry_run: DryRun = False,
    replication: Annotated[
        int, option("N", "copies of each partition; -1 is the broker's default")
    ] = -1,
    partitions: Annotated[
        int | None,
        option("N", "partitions of each topic that has several (default: as registered)"),
    ] = None,
    as_json: JsonFlag = False,
    home: Connection = None,
) -> int:
    """Names, partitions and retention come from the topic registry (ragwheel.schemas.topics).
    Topics that exist are left as they are.
    """
    from ragwheel.backends.kafka import create_topics, missing_topics, require_broker
    from ragwheel.cli.connection import connect_to
    from ragwheel.cli.output import report
    from ragwheel.schemas.loading import load
    from ragwheel.schemas.settings import KafkaSettings

    connect_to(home)
    settings = load(KafkaSettings)
    if dry_run:
        names = sorted(missing_topics(settings))
    else:
        require_broker(settings)
        names = sorted(create_topics(settings, replication=replication, partitions=partitions))
    verb = "would create" if dry_run else "created"
    text = "\n".join(f"{verb} {name}" for name in names) or "all topics exist"
    report(Topics(dry_run, names), text, as_json=as_json)
    return 0
