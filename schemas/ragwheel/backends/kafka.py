"""The one way to open producers, consumers and topics with confluent-kafka."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterable

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from ragwheel.schemas.errors import UnavailableError
from ragwheel.schemas.limits import MAX_MESSAGE_BYTES
from ragwheel.schemas.settings import KafkaSettings
from ragwheel.schemas.topics import TOPICS, Topic, TopicName

_LOG = logging.getLogger(__name__)
_RETRY_S = 0.1

Config = dict[str, str | int | float | bool]


def physical(settings: KafkaSettings, name: TopicName) -> str:
    """The topic's name on the broker."""
    return settings.topic_prefix + name


def connection(settings: KafkaSettings) -> Config:
    """librdkafka properties that every client shares."""
    config: Config = {
        "bootstrap.servers": settings.kafka_bootstrap_servers,
        "security.protocol": settings.kafka_security_protocol,
        # Connection refusals are told once, by `require_broker`, not on stderr by the C library.
        "log_level": 2,
    }
    if settings.kafka_security_protocol.startswith("SASL"):
        config["sasl.mechanism"] = settings.kafka_sasl_mechanism
        config["sasl.username"] = settings.kafka_sasl_username
        config["sasl.password"] = settings.kafka_sasl_password.get_secret_value()
    if settings.kafka_ssl_ca_location:
        config["ssl.ca.location"] = settings.kafka_ssl_ca_location
    return config


def producer(
    settings: KafkaSettings,
    *,
    on_error: Callable[[KafkaError], None] | None = None,
    **overrides: str | int | float | bool,
) -> Producer:
    """An idempotent producer with acks=all. Keyword names use `_` for librdkafka's `.`.

    Args:
        on_error: told of connection errors, from the thread that polls.
    """
    return Producer(
        connection(settings)
        | {
            "enable.idempotence": True,
            # zstd level 1: a third of the CPU of level 3 at 96 % of its ratio on event JSON.
            "compression.type": "zstd",
            "compression.level": 1,
            "linger.ms": 20,
            "batch.size": 1_000_000,
            "message.max.bytes": MAX_MESSAGE_BYTES,
        }
        | ({"error_cb": on_error} if on_error else {})
        | {name.replace("_", "."): value for name, value in overrides.items()}
    )


def consumer(
    settings: KafkaSettings, group: str, **overrides: str | int | float | bool
) -> Consumer:
    """A consumer that never commits by itself and starts at the oldest message."""
    return Consumer(
        connection(settings)
        | {
            "group.id": group,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "earliest",
            "partition.assignment.strategy": "cooperative-sticky",
            "fetch.message.max.bytes": MAX_MESSAGE_BYTES,
        }
        | {name.replace("_", "."): value for name, value in overrides.items()}
    )


def require_broker(settings: KafkaSettings, timeout_s: float = 10.0) -> None:
    """Fail now, in one line, rather than later in a library's log.

    Raises:
        UnavailableError: no broker answers within `timeout_s`.
    """
    _topics(settings, timeout_s)


def missing_topics(settings: KafkaSettings, timeout_s: float = 10.0) -> list[str]:
    """Physical names of the registry's topics that the broker does not have.

    Raises:
        UnavailableError: no broker answers within `timeout_s`.
    """
    present = _topics(settings, timeout_s)
    return [name for topic in TOPICS if (name := physical(settings, topic)) not in present]


def create_topics(
    settings: KafkaSettings,
    *,
    replication: int = -1,
    partitions: int | None = None,
    topics: Iterable[Topic] | None = None,
    timeout_s: float = 30.0,
) -> list[str]:
    """Create the topics of the registry that do not exist yet; clients see them on return.

    Args:
        replication: replication factor; -1 takes the broker's default.
        partitions: overrides the registry's number for topics that have more than one partition.

    Returns:
        Physical names of the topics that were created now.

    Raises:
        UnavailableError: the broker refused or did not answer.
    """
    wanted = [
        NewTopic(
            physical(settings, topic.name),
            num_partitions=partitions if partitions and topic.partitions > 1 else topic.partitions,
            replication_factor=replication,
            config={
                "retention.ms": str(topic.retention_s * 1000),
                "max.message.bytes": str(MAX_MESSAGE_BYTES),
                "cleanup.policy": "delete",
                # Retention counts from here; by a sender's wrong clock it would delete at once.
                "message.timestamp.type": "LogAppendTime",
            },
        )
        for topic in (TOPICS.values() if topics is None else topics)
    ]
    created: list[str] = []
    # Held until the answers are in: a client that is collected cancels its requests.
    admin = AdminClient(connection(settings))
    results = admin.create_topics(wanted, request_timeout=timeout_s)
    for name, future in results.items():
        try:
            future.result(timeout=timeout_s)
            created.append(name)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise UnavailableError(
                    f"topic {name!r} could not be created at "
                    f"{settings.kafka_bootstrap_servers!r}: {error.args[0].str()}"
                ) from None
        except TimeoutError:
            raise UnavailableError(
                f"topic {name!r} was not created at {settings.kafka_bootstrap_servers!r} within "
                f"{timeout_s:g} s: is the broker up?"
            ) from None
    _wait_until_listed(settings, created, timeout_s)
    if created:
        _LOG.info("created topics: %s", ", ".join(sorted(created)))
    return created


def _wait_until_listed(settings: KafkaSettings, created: Iterable[str], timeout_s: float) -> None:
    """The controller answers up to seconds before a broker tells its clients."""
    deadline = time.monotonic() + timeout_s
    while unseen := set(created).difference(_topics(settings, timeout_s)):
        if time.monotonic() > deadline:
            raise UnavailableError(
                f"{settings.kafka_bootstrap_servers!r} created {', '.join(sorted(unseen))} and "
                f"does not list them after {timeout_s:g} s: is the broker overloaded?"
            )
        time.sleep(_RETRY_S)


def _topics(settings: KafkaSettings, timeout_s: float) -> Collection[str]:
    """Names of the topics on the broker."""
    try:
        return AdminClient(connection(settings)).list_topics(timeout=timeout_s).topics
    except KafkaException as error:
        raise UnavailableError(
            f"no Kafka broker answers at {settings.kafka_bootstrap_servers!r} "
            f"({error.args[0].str()}): start one (`ragwheel up`) or set "
            "RAGWHEEL_KAFKA_BOOTSTRAP_SERVERS"
        ) from None
