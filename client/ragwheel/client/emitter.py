"""What a client and its queries share: building an event, sending it, refusing a bad one."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from ragwheel.client import building
from ragwheel.client.candidates import Fields
from ragwheel.client.channel import Channel
from ragwheel.client.described import Measured, Stamped, unknown_argument
from ragwheel.client.ids import new_id
from ragwheel.schemas.events import FeedbackKind


class Emitter:
    """Gives events their identity, time and service, and hands them to the channel. Thread-safe.

    Building raises `InvalidEventError` where an argument breaks the schema, and whatever the
    objects of a service raise while they are read: every verb above is guarded by `never_raises`,
    which calls `refuse`.

    Attributes:
        ready, send, refuse: the channel's.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self.ready, self.send, self.refuse = channel.ready, channel.send, channel.refuse

    def retrieval(
        self,
        origin: building.Origin,
        query_id: str,
        query: str,
        hits: Iterable[object],
        described: Measured,
    ) -> Fields:
        """A RetrievalEvent that is not sent yet."""
        return building.retrieval_event(
            origin, query_id, query, hits, described, send_text=self._channel.send_text
        )

    def feedback(
        self, query_id: str, kind: FeedbackKind, chunk_id: object, value: float, said: Stamped
    ) -> bool:
        """Send a FeedbackEvent; returns whether it was queued."""
        if not self.ready("feedback"):
            return False
        origin = self.origin(said)
        if said:
            raise unknown_argument(min(said), Stamped.__annotations__)
        event = building.feedback_event(origin, query_id, kind, chunk_id, value)
        return self.send("feedback", event)

    def origin(self, said: Stamped) -> building.Origin:
        """Take out of `said` what any event may carry; what is left belongs to its kind."""
        event_id, ts = said.pop("event_id", None), said.pop("ts", None)
        return building.Origin(
            new_id() if event_id is None else event_id,
            datetime.now(UTC) if ts is None else ts,
            self._channel.service,
            said.pop("segment", "default"),
            said.pop("extra", None),
        )
