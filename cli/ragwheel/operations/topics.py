"""Comparing the broker's topics with the registry."""

from __future__ import annotations

from confluent_kafka.admin import AdminClient

from ragwheel.backends.kafka import connection, physical, require_broker
from ragwheel.schemas.settings import KafkaSettings
from ragwheel.schemas.topics import TOPICS

_TIMEOUT_S = 10.0


def missing_topics(settings: KafkaSettings) -> list[str]:
    """Physical names of the registry's topics that the broker does not have.

    Raises:
        UnavailableError: no broker answers.
    """
    require_broker(settings, _TIMEOUT_S)
    admin = AdminClient(connection(settings))
    present = admin.list_topics(timeout=_TIMEOUT_S).topics
    return [name for topic in TOPICS if (name := physical(settings, topic)) not in present]
