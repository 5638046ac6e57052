"""Which topics intake reads, and what a message of each says. Pure.

A new kind of input is a module with its reader and one line in READERS: `prepare` makes rows and
jobs of whatever records come out, and the consumer subscribes to every topic of the table.
"""

from __future__ import annotations

from collections.abc import Mapping

from ragwheel.intake.contracts import Reader
from ragwheel.schemas import deadletters, wire
from ragwheel.schemas.events import Record
from ragwheel.schemas.topics import TOPICS, TopicName
from ragwheel.schemas.wire import Received


def read_record(message: Received) -> tuple[Record]:
    """One record of the registry as JSON, under its key.

    Raises:
        InvalidEventError: it is none.
    """
    return (wire.decode(TOPICS[message.topic], message.key, message.value),)


def read_dead_letter(message: Received) -> tuple[Record]:
    """A dead letter: any bytes, explained by headers; one without them is a letter itself."""
    letter = deadletters.from_message(
        message.key,
        message.value,
        message.headers,
        position=(message.partition, message.offset),
        timestamp_ms=message.timestamp_ms,
    )
    return (letter,)


READERS: Mapping[TopicName, Reader] = {
    **dict.fromkeys(TOPICS, read_record),
    "deadletters": read_dead_letter,
}
