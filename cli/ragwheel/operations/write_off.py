"""Declaring as lost what expired in Kafka before anybody read it, so that the alert can end."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass

from ragwheel.accounting.accounts import Gap
from ragwheel.accounting.reader import AccountReader, Groups
from ragwheel.backends.kafka import require_broker
from ragwheel.backends.migrate import open_tables
from ragwheel.schemas.errors import ConfigError
from ragwheel.schemas.settings import GraderSettings, IntakeSettings
from ragwheel.schemas.topics import TOPICS, TopicName


@dataclass(frozen=True, slots=True)
class WriteOff:
    """What was declared as lost, or would be.

    Attributes:
        messages: how many.
        lost: where they stood.
        readable: unaccounted messages that stay so: Kafka still has them, or they are jobs without
            labels.
    """

    topic: str
    dry_run: bool
    messages: int
    lost: Sequence[Gap]
    readable: int


def write_off(
    intake: IntakeSettings, grader: GraderSettings, topic: str, reason: str, *, dry_run: bool
) -> WriteOff:
    """Write off what is unaccounted of `topic` and no longer in Kafka, and nothing else.

    Safe to repeat, and beside running workers: what is accounted for meanwhile counts as that.

    Raises:
        ConfigError: no such topic, or no reason.
        UnavailableError: Kafka or ClickHouse does not answer, or the tables are missing.
    """
    name = _topic(topic)
    if not reason.strip():
        raise ConfigError("write-off: give --reason TEXT, it stays in the ledger")
    require_broker(intake)
    groups = Groups(intake.intake_group, grader.grader_group)
    with (
        closing(open_tables(intake)) as client,
        closing(AccountReader(intake, client, groups)) as reader,
    ):
        unaccounted = sum(each.unaccounted for each in reader.read() if each.topic == name)
        found = reader.expired(name) if dry_run else reader.write_off(name, reason.strip())
    lost = [Gap(number, *stretch) for (_, number), all_of in found.items() for stretch in all_of]
    messages = sum(each.until - each.start for each in lost)
    return WriteOff(name, dry_run, messages, lost, unaccounted - messages)


def _topic(name: str) -> TopicName:
    for topic in TOPICS:
        if topic == name:
            return topic
    raise ConfigError(f"write-off: no topic {name!r}; known: {', '.join(TOPICS)}")
