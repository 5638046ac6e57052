"""Which model is meant to serve, from two sources of which either alone is enough.

The pointer at the artifact store is read at the start and now and then; the topic `models` says the
same at once. Both carry the time of the decision, so that what is older never wins.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from threading import Event, Thread

from confluent_kafka import OFFSET_BEGINNING, KafkaException, TopicPartition
from pydantic import ValidationError

from ragwheel.backends import kafka
from ragwheel.models.registry import Alias
from ragwheel.schemas.errors import RagwheelError
from ragwheel.schemas.events import ModelEvent
from ragwheel.schemas.settings import KafkaSettings
from ragwheel.schemas.topics import TOPICS

_LOG = logging.getLogger(__name__)
_MODEL_ID = re.compile("[0-9a-f]{16}")
_POLL_S = 0.5
_RETRY_S = 5.0


@dataclass(frozen=True, slots=True)
class NamedModel:
    """What shall serve since when.

    Attributes:
        model_id: a promoted model; empty: the base model.
    """

    model_id: str
    at: datetime


def named_by_alias(alias: Alias) -> NamedModel | None:
    """What the alias says; None where nothing was ever promoted."""
    times = [each.at for each in alias.promotions[-1:]] + [each.at for each in alias.holds[-1:]]
    if not times:
        return None
    return NamedModel(alias.promotions[-1].model_id if alias.promotions else "", max(times))


def named_by_event(event: ModelEvent) -> NamedModel | None:
    """What a model event says; None where it changes nothing."""
    if event.action == "promoted":
        return NamedModel(event.model_id, event.ts)
    if event.action == "rolled_back":  # the incumbent is what serves instead
        base = not _MODEL_ID.fullmatch(event.incumbent_id)
        return NamedModel("" if base else event.incumbent_id, event.ts)
    return None


class TopicListener:
    """Reads the topic `models` from its beginning in a thread; needs no group and commits nothing.

    Kafka may be away at any time: it goes on when it is back.
    """

    def __init__(self, settings: KafkaSettings, told: Callable[[NamedModel], None]) -> None:
        """Starts with `start`.

        Args:
            told: called in the thread with the newest decision, once all that is there was read,
                and then with each new one. Must be quick and must not raise.
        """
        self._settings = settings
        self._told = told
        self._stop = Event()
        self._thread = Thread(target=self._listen, name="models-topic", daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def close(self) -> None:
        """End within a second or two."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=10)

    def _listen(self) -> None:
        while not self._stop.is_set():
            try:
                self._read()
            except (KafkaException, RagwheelError) as error:
                _LOG.warning("the topic of models cannot be heard: %s", error)
            self._stop.wait(_RETRY_S)

    def _read(self) -> None:
        consumer = kafka.consumer(self._settings, "ragwheel-serving")
        newest: NamedModel | None = None
        try:
            name = kafka.physical(self._settings, "models")
            partitions = range(TOPICS["models"].partitions)
            consumer.assign([TopicPartition(name, each, OFFSET_BEGINNING) for each in partitions])
            while not self._stop.is_set():
                message = consumer.poll(_POLL_S)
                if message is None:  # nothing more is there
                    if newest is not None:
                        self._told(newest)
                    newest = None
                elif message.error() is None:
                    heard = _heard(message.value())
                    if heard is not None and (newest is None or heard.at >= newest.at):
                        newest = heard
        finally:
            consumer.close()


def _heard(raw: bytes | None) -> NamedModel | None:
    try:
        return named_by_event(ModelEvent.model_validate_json(raw or b""))
    except ValidationError as error:
        _LOG.warning("a message in the topic of models is no model event: %s", error)
        return None
