"""`ragwheel topics`."""

from __future__ import annotations

import argparse

from ragwheel.cli.command import Command, add_connection


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--dry-run", action="store_true", help="show what is missing, change nothing"
    )
    parser.add_argument(
        "--replication",
        type=int,
        default=-1,
        metavar="N",
        help="copies of each partition (default: -1, the broker's default)",
    )
    parser.add_argument(
        "--partitions",
        type=int,
        metavar="N",
        help="partitions of each topic that has several (default: as registered)",
    )
    add_connection(parser)


def run(args: argparse.Namespace) -> int:
    from ragwheel.backends.kafka import create_topics, missing_topics, require_broker
    from ragwheel.cli.connection import connect_to
    from ragwheel.schemas.settings import KafkaSettings, load

    connect_to(args.home)
    settings = load(KafkaSettings)
    if args.dry_run:
        names, verb = missing_topics(settings), "would create"
    else:
        require_broker(settings)
        names = create_topics(settings, replication=args.replication, partitions=args.partitions)
        verb = "created"
    for name in sorted(names):
        print(f"{verb} {name}")
    if not names:
        print("all topics exist")
    return 0


COMMAND = Command(
    name="topics",
    purpose="create the Kafka topics that are missing",
    details="""\
Names, partitions and retention come from the topic registry (ragwheel.schemas.topics). Topics that
exist are left as they are.""",
    examples=("ragwheel topics --dry-run", "ragwheel topics --replication 3 --partitions 24"),
    configure=configure,
    run=run,
)
