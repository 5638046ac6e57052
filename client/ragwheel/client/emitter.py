"""What a client and its queries share: building an event, sending it, refusing a bad one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from ragwheel.client import building
from ragwheel.client.candidates import Fields
from ragwheel.client.channel import Channel
from ragwheel.client.described import Measured
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
        query_id: str,
        query: str,
        hits: Iterable[object],
        described: Measured,
        *,
        segment: str,
        ts: datetime | None = None,
        event_id: str | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> Fields:
        """A RetrievalEvent that is not sent yet."""
        return building.retrieval_event(
            self.origin(ts, event_id),
            query_id,
            query,
            hits,
            described,
            segment=segment,
            send_text=self._channel.send_text,
            extra=extra,
        )

    def feedback(
        self,
        query_id: str,
        kind: FeedbackKind,
        chunk_id: object,
        value: float,
        *,
        segment: str,
        ts: datetime | None = None,
        event_id: str | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> bool:
        """Send a FeedbackEvent; returns whether it was queued."""
        if not self.ready("feedback"):
            return False
        event = building.feedback_event(
            self.origin(ts, event_id), query_id, kind, chunk_id, value,
            segment=segment, extra=extra,
        )  # fmt: skip
        return self.send("feedback", event)

    def origin(self, ts: datetime | None, event_id: str | None) -> building.Origin:
        """Identity, time and service of an event that happens now unless it is said otherwise."""
        return building.Origin(
            new_id() if event_id is None else event_id,
            datetime.now(UTC) if ts is None else ts,
            self._channel.service,
        )
