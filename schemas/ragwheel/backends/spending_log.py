"""The log of claims on the broker: written, and read from its start by whoever needs to know.

Joins no consumer group. For one thread at a time.
"""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime
from typing import cast

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from ragwheel.backends import kafka
from ragwheel.backends.publish import Outgoing, Publisher
from ragwheel.schemas import wire
from ragwheel.schemas.budget import Claims
from ragwheel.schemas.errors import InvalidEventError, UnavailableError
from ragwheel.schemas.events import SpendingEntry
from ragwheel.schemas.settings import KafkaSettings
from ragwheel.schemas.topics import TOPICS

_LOG = logging.getLogger(__name__)
_TIMEOUT_S = 10.0
_POLL_S = 0.1
_MESSAGES = 1_000


class SpendingLog:
    """Every method but `close` raises UnavailableError when the broker does not answer."""

    def __init__(self, settings: KafkaSettings) -> None:
        """Connects at the first call."""
        self.claims = Claims()
        self._settings = settings
        self._consumer: Consumer | None = None
        self._publisher: Publisher | None = None
        self._next = 0

    def read(self, timeout_s: float = 0.0) -> None:
        """Apply what is there; the first entry is waited for."""
        try:
            for message in self._reader().consume(_MESSAGES, timeout_s):
                if error := message.error():
                    # librdkafka looks for the group's coordinator although nobody joins the group.
                    if error.code() == KafkaError.GROUP_AUTHORIZATION_FAILED:
                        continue
                    raise self._unavailable(error.str())
                self._next = cast(int, message.offset()) + 1
                self._apply(message.key(), message.value(), message.timestamp()[1])
        except KafkaException as error:
            raise self._unavailable(error.args[0].str()) from None

    def catch_up(self, timeout_s: float = _TIMEOUT_S) -> None:
        """Read to the end that the log has now."""
        deadline = time.monotonic() + timeout_s
        try:
            ends = self._reader().get_watermark_offsets(self._partition(), timeout=timeout_s)
        except KafkaException as error:
            raise self._unavailable(error.args[0].str()) from None
        first, end = ends or (0, 0)
        while self._next < end and first < end:
            if time.monotonic() > deadline:
                raise self._unavailable(f"read to {self._next} of {end} within {timeout_s:g} s")
            self.read(_POLL_S)

    def decide(self, entry: SpendingEntry) -> bool:
        """Append a claim and read on until the log has decided: whether it was granted.

        After an UnavailableError the same entry may be given again: it counts once.
        """
        if self._publisher is None:
            self._publisher = Publisher(self._settings, timeout_s=_TIMEOUT_S)
        deadline = time.monotonic() + _TIMEOUT_S
        self._publisher.publish([Outgoing.of("spending", entry)])
        while (granted := self.claims.of(entry.day).verdict(entry.entry_id)) is None:
            if time.monotonic() > deadline + _TIMEOUT_S:
                raise self._unavailable("a claim that was written is not to be read")
            self.read(_POLL_S)
        return granted

    def close(self) -> None:
        """Release the connections."""
        if self._publisher is not None:
            self._publisher.close()
        if self._consumer is not None:
            self._consumer.close()

    def _apply(self, key: bytes | None, value: bytes | None, timestamp_ms: int) -> None:
        try:
            entry = cast(SpendingEntry, wire.decode(TOPICS["spending"], key, value))
        except InvalidEventError as error:  # for everybody alike, hence no claim
            _LOG.warning("the log of spending has an entry that is none: %s", error.detail)
            return
        self.claims.apply(entry, datetime.fromtimestamp(timestamp_ms / 1000, UTC))

    def _partition(self) -> TopicPartition:
        name = kafka.physical(self._settings, "spending")
        return TopicPartition(name, 0, OFFSET_BEGINNING)

    def _reader(self) -> Consumer:
        if self._consumer is None:
            self._consumer = kafka.consumer(self._settings, "ragwheel-spending")
            self._consumer.assign([self._partition()])
        return self._consumer

    def _unavailable(self, why: str) -> UnavailableError:
        return UnavailableError(
            f"{kafka.physical(self._settings, 'spending')} at "
            f"{self._settings.kafka_bootstrap_servers!r} cannot be used ({why}): check the broker, "
            "and this user's rights on that topic (docs/security.md)"
        )
