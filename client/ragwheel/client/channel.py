"""From settings to a transport, with the counts: what stands behind a client."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from threading import Lock
from typing import Any

import orjson

from ragwheel.backends.redaction import RedactionError, Redactor, load_redactor
from ragwheel.client.candidates import Fields
from ragwheel.client.complaints import Complaints
from ragwheel.client.forks import reset_after_fork
from ragwheel.client.guard import calling_line
from ragwheel.client.kafka_transport import KafkaTransport
from ragwheel.client.stats import ClientStats, Counters, Outcome
from ragwheel.client.transport import Transport
from ragwheel.schemas import identity
from ragwheel.schemas.errors import ConfigError, InvalidEventError
from ragwheel.schemas.limits import MAX_EVENT_BYTES
from ragwheel.schemas.loading import load
from ragwheel.schemas.settings import ClientSettings
from ragwheel.schemas.topics import KEY_OF_EVENT, TopicName

#: Makes what stands in for a client's own transport.
StandIn = Callable[[Counters], Transport]


class Channel:
    """Reads the settings at the first event, then sends; counts whatever happens. Thread-safe.

    Attributes:
        service: put on every event.
        send_text: whether retrievals are built with texts or only with hashes; with redaction
            always with texts, as hashes must be of what is left of them.
        problem: why nothing is sent, naming the setting; empty when all is well.
    """

    def __init__(self, overrides: dict[str, Any]) -> None:
        self._overrides = overrides
        self._counters = Counters()
        self._complaints = Complaints()
        self._lock = Lock()
        #: What the settings ask for; None where they are not read yet, or ask for nothing.
        self._own: Transport | None = None
        #: What events are handed to: that, or what stands in for it.
        self._transport: Transport | None = None
        self._stand_in: StandIn | None = None
        self._started = False
        self.service = ""
        self.send_text = True
        self._redactor: Redactor | None = None
        self._hashes_only = False
        self.problem = ""
        reset_after_fork(self)
        _CHANNELS.add(self)

    def ready(self, topic: TopicName) -> bool:
        """Whether events are sent; one that cannot be for want of good settings is dropped."""
        if not self._started:
            self._start()
        if self.problem:
            self._counters.add(topic, Outcome.DROPPED)
            return False
        return self._transport is not None

    def send(self, topic: TopicName, event: Fields, wait_s: float = 0.0) -> bool:
        """Encode and queue an event that was built by `ragwheel.client.building`.

        Returns:
            Whether it was queued.

        Raises:
            InvalidEventError: it is too large, or could not be redacted.
            TypeError: something in it is not JSON.
        """
        value = orjson.dumps(event, default=str)
        if self._redactor is not None:
            value = self._redacted(self._redactor, value)
        if len(value) > MAX_EVENT_BYTES:
            raise InvalidEventError(
                "oversize",
                f"oversize: {len(value)} bytes, the limit is {MAX_EVENT_BYTES}; send fewer "
                "candidates, or only their hashes (RAGWHEEL_CLIENT_SEND_TEXT=false)",
            )
        transport = self._transport
        key: str = event[KEY_OF_EVENT[event["event"]]]
        return transport is not None and transport.send(topic, key.encode(), value, wait_s=wait_s)

    def _redacted(self, redactor: Redactor, value: bytes) -> bytes:
        """The event as it may leave: from its JSON, in which nothing is left to hide in objects."""
        try:
            fields = redactor.event(orjson.loads(value))
            for each in fields.get("candidates", ()) if self._hashes_only else ():
                if (text := each.pop("text", None)) is not None:
                    each["content_hash"] = identity.content_hash(text)
            return orjson.dumps(fields)
        except Exception as error:  # noqa: BLE001 - whose words may quote what must not leave
            why = str(error) if isinstance(error, RedactionError) else type(error).__name__
        raise InvalidEventError(
            "redaction_failed", f"redaction: {why} (RAGWHEEL_REDACT_FUNCTION, …_RULES)"
        )

    def refuse(self, topic: TopicName, error: Exception) -> None:
        """Count and log an event, or a call, that could not be used."""
        self._counters.add(topic, Outcome.INVALID)
        detail = error.detail if isinstance(error, InvalidEventError) else repr(error)
        field = detail.partition(":")[0].partition("(")[0]
        self._complaints.say(
            f"invalid:{topic}:{field}",
            f"an event for {topic} is invalid and not sent, called at {calling_line()}: {detail}",
        )

    def flush(self, timeout_s: float | None) -> int:
        """Wait for delivery; returns how many events still wait."""
        return 0 if self._transport is None else self._transport.flush(timeout_s)

    def close(self, timeout_s: float | None) -> None:
        """Flush and stop. Idempotent."""
        if self._transport is not None:
            self._transport.close(timeout_s)

    def configure(self, overrides: dict[str, Any]) -> None:
        """Use other settings from the next event on."""
        if self._own is not None:
            self._own.close(None)
        with self._lock:
            self._overrides = self._overrides | overrides
            self._own = None
            self._choose()
            self._started = False
            self.problem = ""

    def divert(self, stand_in: StandIn | None) -> None:
        """Hand events to what `stand_in` makes; None hands them to the client's own transport."""
        with self._lock:
            self._stand_in = stand_in
            self._choose()

    def stats(self) -> ClientStats:
        """All counts."""
        return self._counters.snapshot()

    def after_fork_in_child(self) -> None:
        """Counts start at 0 and locks are new; the parent's may be held by a thread of its own."""
        self._lock = Lock()
        self._counters.reset()
        self._complaints.reset()

    def _start(self) -> None:
        with self._lock:
            if self._started:
                return
            try:
                settings = load(ClientSettings, **self._overrides)
                self._redactor = load_redactor(settings)
            except ConfigError as error:
                self.problem = str(error)
                self._complaints.say("settings", f"every event is dropped: {error}")
            else:
                self.service = settings.service
                self._hashes_only = not settings.client_send_text
                self.send_text = settings.client_send_text or self._redactor is not None
                if settings.client_enabled:
                    self._own = KafkaTransport(settings, self._counters, self._complaints)
                    if self._stand_in is None:
                        self._transport = self._own
            self._started = True

    def _choose(self) -> None:
        stand_in = self._stand_in
        self._transport = self._own if stand_in is None else stand_in(self._counters)


class _Channels:
    """Those of this process, and what stands in for their transports at this moment."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._live: weakref.WeakSet[Channel] = weakref.WeakSet()
        self._stand_ins: list[StandIn | None] = [None]
        reset_after_fork(self)

    def add(self, channel: Channel) -> None:
        with self._lock:
            self._live.add(channel)
            channel.divert(self._stand_ins[-1])

    @contextmanager
    def diverted(self, stand_in: StandIn) -> Iterator[None]:
        self._change(self._stand_ins.append, stand_in)
        try:
            yield
        finally:
            self._change(self._stand_ins.remove, stand_in)

    def _change(self, change: Callable[[StandIn], None], stand_in: StandIn) -> None:
        with self._lock:
            change(stand_in)
            for channel in self._live:
                channel.divert(self._stand_ins[-1])

    def after_fork_in_child(self) -> None:
        self._lock = Lock()


_CHANNELS = _Channels()


def diverted(stand_in: StandIn) -> AbstractContextManager[None]:
    """A block in which every client of this process, new ones too, hands events to a stand-in.

    Their own transports stay open meanwhile, and deliver what was queued in them. The block that
    began last wins, until it ends.
    """
    return _CHANNELS.diverted(stand_in)
