"""For the tests of a service: what it emits, as a list, without a broker.

from ragwheel.client.recording import recorded

with recorded() as events:
    answer("how do I rotate a key?")
(retrieval,) = events.of(RetrievalEvent)
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

from ragwheel.client.channel import diverted
from ragwheel.client.stats import Counters, Outcome
from ragwheel.schemas import wire
from ragwheel.schemas.events import Record
from ragwheel.schemas.topics import TOPICS, TopicName

_R = TypeVar("_R", bound=Record)


class Recorded(list[Record]):
    """Events in the order in which they were sent, as intake would read them."""

    def of(self, kind: type[_R]) -> list[_R]:
        """Those of one kind, e.g. `of(RetrievalEvent)`."""
        return [event for event in self if isinstance(event, kind)]


class RecordingTransport:
    """Keeps what is sent instead of sending it; an event counts as delivered at once.

    Args:
        events: where they are kept.
        counters: of the client that sends.
    """

    def __init__(self, events: list[Record], counters: Counters) -> None:
        self._events = events
        self._counters = counters
        self._closed = False

    def send(self, topic: TopicName, key: bytes, value: bytes, *, wait_s: float = 0.0) -> bool:
        """Read the event as intake does, and keep it.

        Raises:
            InvalidEventError: intake would refuse it.
        """
        if self._closed:
            self._counters.add(topic, Outcome.DROPPED)
            return False
        self._events.append(wire.decode(TOPICS[topic], key, value))
        self._counters.add(topic, Outcome.QUEUED)
        self._counters.add(topic, Outcome.DELIVERED)
        return True

    def flush(self, timeout_s: float | None = None) -> int:
        """Nothing ever waits."""
        return 0

    def close(self, timeout_s: float | None = None) -> int:
        """Take nothing more until the next block begins or the client is configured anew."""
        self._closed = True
        return 0


@contextmanager
def recorded() -> Iterator[Recorded]:
    """Record what every client of this process emits while the block runs, in any thread.

    Nothing is sent, no broker is needed, and it works with RAGWHEEL_CLIENT_ENABLED=false. Calls are
    checked, counted and logged as ever; one that is refused leaves no event. Of nested blocks the
    inner one records. At the end every client sends where it sent before. What a child process
    emits stays in the child.

    Yields:
        The events so far; it grows while the block runs. Retrievals come when the `with` block of
        their query ends.
    """
    events = Recorded()
    with diverted(partial(RecordingTransport, events)):
        yield events
