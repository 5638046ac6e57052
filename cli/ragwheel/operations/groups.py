"""Who consumes: members and lag of the workers' consumer groups, from the broker."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from ragwheel.backends.kafka import connection
from ragwheel.schemas.errors import UnavailableError
from ragwheel.schemas.settings import KafkaSettings

_TIMEOUT_S = 10.0
_RETRY_S = 0.2
#: The group's coordinator is being elected or moves: on a new broker, with the very first group.
_MOVING = frozenset(
    {
        KafkaError.NOT_COORDINATOR,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    }
)


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
    members = {group: _members(settings, group) for group in sorted(set(groups.values()))}
    return [GroupState(worker, group, members[group]) for worker, group in groups.items()]


def _members(settings: KafkaSettings, group: str) -> int:
    deadline = time.monotonic() + _TIMEOUT_S
    while True:
        # A new client each time: one that was sent to the wrong coordinator keeps asking it.
        admin = AdminClient(connection(settings))
        future = admin.describe_consumer_groups([group], request_timeout=_TIMEOUT_S)[group]
        try:
            return len(future.result(timeout=_TIMEOUT_S + 1).members)
        except KafkaException as error:
            code = error.args[0].code()
            if code == KafkaError.GROUP_ID_NOT_FOUND:
                return 0
            if code not in _MOVING or time.monotonic() > deadline:
                raise UnavailableError(
                    f"Kafka at {settings.kafka_bootstrap_servers!r} did not describe the group "
                    f"{group!r}: {error.args[0].name()} {error.args[0].str()}".rstrip(": ")
                ) from None
            time.sleep(_RETRY_S)
