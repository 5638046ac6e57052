"""The one way to open producers, consumers and topics with confluent-kafka."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from pydantic import SecretStr

from ragwheel.schemas.errors import ConfigError, UnavailableError
from ragwheel.schemas.limits import MAX_MESSAGE_BYTES
from ragwheel.schemas.settings import PREFIX, KafkaSettings
from ragwheel.schemas.topics import TOPICS, Topic, TopicName

_LOG = logging.getLogger(__name__)
_RETRY_S = 0.1
_ASK_S = 0.5

Config = dict[str, Any]
_T = TypeVar("_T")

# librdkafka's name → ours; those that cannot be left out come first.
_SASL = {"sasl.username": "kafka_sasl_username", "sasl.password": "kafka_sasl_password"}
_OAUTH = {
    "sasl.oauthbearer.token.endpoint.url": "kafka_oauth_token_url",
    "sasl.oauthbearer.client.id": "kafka_oauth_client_id",
    "sasl.oauthbearer.client.secret": "kafka_oauth_client_secret",
    "sasl.oauthbearer.scope": "kafka_oauth_scope",
}
_TLS = {
    "ssl.ca.location": "kafka_ssl_ca_location",
    "ssl.certificate.location": "kafka_ssl_certificate_location",
    "ssl.key.location": "kafka_ssl_key_location",
    "ssl.key.password": "kafka_ssl_key_password",
}
_REFUSALS = (KafkaError._AUTHENTICATION, KafkaError._SSL)


def physical(settings: KafkaSettings, name: TopicName) -> str:
    """The topic's name on the broker."""
    return settings.topic_prefix + name


def connection(settings: KafkaSettings) -> Config:
    """librdkafka properties that every client shares.

    Raises:
        ConfigError: a setting that the protocol needs is empty, or names no file.
    """
    protocol = settings.kafka_security_protocol
    config: Config = {
        "bootstrap.servers": settings.kafka_bootstrap_servers,
        "security.protocol": protocol,
        # Connection refusals are told once, by `require_broker`, not on stderr by the C library.
        "log_level": 2,
    }
    if protocol.startswith("SASL"):
        config["sasl.mechanism"] = settings.kafka_sasl_mechanism
        if settings.kafka_sasl_mechanism == "OAUTHBEARER":
            config |= {"sasl.oauthbearer.method": "oidc"} | _given(settings, _OAUTH, needed=3)
        else:
            config |= _given(settings, _SASL, needed=2)
    if protocol.endswith("SSL"):
        config |= _given(settings, _TLS)
        for field in _TLS.values():
            where = getattr(settings, field)
            if field.endswith("_location") and where and not Path(where).is_file():
                raise ConfigError(f"{PREFIX}{field.upper()}: there is no file {where!r}")
    return config


def _given(settings: KafkaSettings, names: Mapping[str, str], needed: int = 0) -> Config:
    """Those of the settings that are not empty; the first `needed` must not be."""
    config: Config = {}
    for number, (name, field) in enumerate(names.items()):
        value = getattr(settings, field)
        text = value.get_secret_value() if isinstance(value, SecretStr) else value
        if text:
            config[name] = text
        elif number < needed:
            raise ConfigError(
                f"{PREFIX}{field.upper()} is empty, which {settings.kafka_security_protocol} with "
                f"{settings.kafka_sasl_mechanism} needs"
            )
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

    Raises:
        ConfigError: a setting is wrong.
    """
    return _opened(
        Producer,
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
        | {name.replace("_", "."): value for name, value in overrides.items()},
    )


def consumer(
    settings: KafkaSettings, group: str, **overrides: str | int | float | bool
) -> Consumer:
    """A consumer that never commits by itself and starts at the oldest message.

    Raises:
        ConfigError: a setting is wrong.
    """
    return _opened(
        Consumer,
        connection(settings)
        | {
            "group.id": group,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "earliest",
            "partition.assignment.strategy": "cooperative-sticky",
            "fetch.message.max.bytes": MAX_MESSAGE_BYTES,
        }
        | {name.replace("_", "."): value for name, value in overrides.items()},
    )


def admin(
    settings: KafkaSettings, *, on_error: Callable[[KafkaError], None] | None = None
) -> AdminClient:
    """A client for questions and topics. Held until the answers are in: collected, it cancels them.

    Raises:
        ConfigError: a setting is wrong.
    """
    callback = {"error_cb": on_error} if on_error else {}
    return _opened(AdminClient, connection(settings) | callback)


def _opened(kind: Callable[[Config], _T], config: Config) -> _T:
    try:
        return kind(config)
    except KafkaException as error:
        raise ConfigError(
            f"Kafka's client refuses its settings ({error.args[0].str()}): check RAGWHEEL_KAFKA_*"
        ) from None


def require_broker(settings: KafkaSettings, timeout_s: float = 10.0) -> None:
    """Fail now, in one line, rather than later in a library's log.

    Raises:
        UnavailableError: no broker answers within `timeout_s`.
        ConfigError: it refuses us, or its certificate is not to be trusted; the setting is named.
    """
    _topics(settings, timeout_s)


def require_topics(settings: KafkaSettings, names: Collection[TopicName] = tuple(TOPICS)) -> None:
    """Like `require_broker`, and these topics are there. Processes never create them.

    Raises:
        UnavailableError, ConfigError: as `require_broker`; or a topic is missing.
    """
    wanted = {physical(settings, name) for name in names}
    if missing := sorted(wanted.intersection(missing_topics(settings))):
        raise UnavailableError(
            f"{settings.kafka_bootstrap_servers!r} shows no {', '.join(missing)}: run `ragwheel "
            "topics`, or let this user describe what is there (docs/security.md)"
        )


def missing_topics(settings: KafkaSettings, timeout_s: float = 10.0) -> list[str]:
    """Physical names of the registry's topics that the broker does not have, or does not show us.

    Raises:
        UnavailableError, ConfigError: as `require_broker`.
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
    asking = admin(settings)
    results = asking.create_topics(wanted, request_timeout=timeout_s)
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
    told: list[KafkaError] = []
    asking = admin(settings, on_error=told.append)
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            return asking.list_topics(timeout=min(_ASK_S, timeout_s)).topics
        except KafkaException as error:
            asking.poll(0)
            last = told[0] if told else error.args[0]
        where = settings.kafka_bootstrap_servers
        if refusal := next(filter(_is_refusal, told), None):
            raise ConfigError(
                f"Kafka at {where!r}: {_reason(refusal)}: check {settings_to_check(refusal)}"
            )
        if time.monotonic() > deadline:
            raise UnavailableError(
                f"no Kafka broker answers at {where!r} ({_reason(last)}): start one "
                f"(`ragwheel up`) or set {settings_to_check(last)}"
            )


def settings_to_check(error: KafkaError) -> str:
    """Which settings an error of the connection is about."""
    if error.code() == KafkaError._AUTHENTICATION:
        return (
            "RAGWHEEL_KAFKA_SASL_MECHANISM, and RAGWHEEL_KAFKA_SASL_USERNAME and _PASSWORD or "
            "RAGWHEEL_KAFKA_OAUTH_*"
        )
    if error.code() == KafkaError._SSL:
        return "RAGWHEEL_KAFKA_SSL_CA_LOCATION and the name in RAGWHEEL_KAFKA_BOOTSTRAP_SERVERS"
    if _is_refusal(error):
        return "RAGWHEEL_KAFKA_SSL_CERTIFICATE_LOCATION"
    return "RAGWHEEL_KAFKA_BOOTSTRAP_SERVERS and RAGWHEEL_KAFKA_SECURITY_PROTOCOL"


def _is_refusal(error: KafkaError) -> bool:
    # That the broker refuses our certificate is known from the text alone: librdkafka takes it for
    # a lost connection.
    return error.code() in _REFUSALS or "SSL alert" in error.str()


def _reason(error: KafkaError) -> str:
    # "sasl_ssl://host:port/bootstrap: what happened (after 5ms in state CONNECT)"
    return error.str().split("/bootstrap: ", 1)[-1].partition(" (after ")[0]
