"""Who consumes: members and lag of the workers' consumer groups, from the broker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from ragwheel.schemas.errors import UnavailableError
from ragwheel.schemas.kafka import connection
from ragwheel.schemas.settings import KafkaSettings

_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class GroupState:
    """The consumer group of a worker.

    Attributes:
        worker: intake or grader.
        group: its name on the broker.
        members: processes that are in it now.
    """

    worker: str
    group: str
    members: int


def group_states(settings: KafkaSettings, groups: Mapping[str, str]) -> list[GroupState]:
    """State of each group; `groups` maps worker to group name. One that never was has no members.

    Raises:
        UnavailableError: the broker does not answer.
    """
    admin = AdminClient(connection(settings))
    futures = admin.describe_consumer_groups(list(groups.values()), request_timeout=_TIMEOUT_S)
    states = []
    for worker, group in groups.items():
        try:
            members = len(futures[group].result(timeout=_TIMEOUT_S + 1).members)
        except KafkaException as error:
            raise UnavailableError(
                f"Kafka at {settings.kafka_bootstrap_servers!r} did not describe the group "
                f"{group!r}: {error.args[0].str()}"
            ) from None
        states.append(GroupState(worker, group, members))
    return states
