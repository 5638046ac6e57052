"""From settings to a sender, with the counts: what stands behind a client."""

from __future__ import annotations

from threading import Lock
from typing import Any

import orjson

from ragwheel.client.candidates import Fields
from ragwheel.client.complaints import Complaints
from ragwheel.client.forks import reset_after_fork
from ragwheel.client.guard import calling_line
from ragwheel.client.sending import Sender
from ragwheel.client.stats import ClientStats, Counters, Outcome
from ragwheel.schemas.errors import ConfigError, InvalidEventError
from ragwheel.schemas.limits import MAX_EVENT_BYTES
from ragwheel.schemas.settings import ClientSettings, load
from ragwheel.schemas.topics import TOPICS, TopicName


class Channel:
    """Reads the settings at the first event, then sends; counts whatever happens. Thread-safe.

    Attributes:
        service: put on every event.
        send_text: whether retrievals carry texts or only hashes.
        problem: why nothing is sent, naming the setting; empty when all is well.
    """

    def __init__(self, overrides: dict[str, Any]) -> None:
        self._overrides = overrides
        self._counters = Counters()
        self._complaints = Complaints()
        self._lock = Lock()
        self._sender: Sender | None = None
        self._started = False
        self.service = ""
        self.send_text = True
        self.problem = ""
        reset_after_fork(self)

    def ready(self, topic: TopicName) -> bool:
        """Whether events are sent; one that cannot be for want of good settings is dropped."""
        if self._sender is None and not self._started:
            self._start()
        if self._sender is not None:
            return True
        if self.problem:
            self._counters.add(topic, Outcome.DROPPED)
        return False

    def send(self, topic: TopicName, event: Fields, wait_s: float = 0.0) -> bool:
        """Encode and queue an event that was built by `ragwheel.client.building`.

        Returns:
            Whether it was queued.

        Raises:
            InvalidEventError: it is too large.
            TypeError: something in it is not JSON.
        """
        value = orjson.dumps(event, default=str)
        if len(value) > MAX_EVENT_BYTES:
            raise InvalidEventError(
                "oversize",
                f"oversize: {len(value)} bytes, the limit is {MAX_EVENT_BYTES}; send fewer "
                "candidates, or only their hashes (RAGWHEEL_CLIENT_SEND_TEXT=false)",
            )
        sender = self._sender
        key: str = event[TOPICS[topic].key]
        return sender is not None and sender.send(topic, key.encode(), value, wait_s=wait_s)

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
        return 0 if self._sender is None else self._sender.flush(timeout_s)

    def close(self, timeout_s: float | None) -> None:
        """Flush and stop. Idempotent."""
        if self._sender is not None:
            self._sender.close(timeout_s)

    def configure(self, overrides: dict[str, Any]) -> None:
        """Use other settings from the next event on."""
        self.close(None)
        with self._lock:
            self._overrides = self._overrides | overrides
            self._sender = None
            self._started = False
            self.problem = ""

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
            except ConfigError as error:
                self.problem = str(error)
                self._complaints.say("settings", f"every event is dropped: {error}")
            else:
                self.service = settings.service
                self.send_text = settings.client_send_text
                if settings.client_enabled:
                    self._sender = Sender(settings, self._counters, self._complaints)
            self._started = True
