"""What carries events away from a service: the seam between the client and a broker, or a test."""

from __future__ import annotations

from typing import Protocol

from ragwheel.schemas.topics import TopicName


class Transport(Protocol):
    """Takes encoded events and counts what becomes of each. Thread-safe; its owner is one client.

    It is given the client's `Counters` when it is made, and keeps this account: every event handed
    over is `QUEUED` or `DROPPED` at once, and every queued one is later `DELIVERED` or `FAILED`.
    Making one opens nothing, so that a client costs nothing before its first event.

    `TransportContract` in tests/unit/client is this contract as a test; every transport runs it.
    """

    def send(self, topic: TopicName, key: bytes, value: bytes, *, wait_s: float = 0.0) -> bool:
        """Take one event.

        When called: once per event, in whatever thread of the service emits it, also in a child
        that was forked since, where nothing of the parent may be sent again.

        May block: never on the far side. Only where the service asks for it does it wait for room,
        `wait_s` at the most.

        May raise: an `Exception` that it did not foresee, after taking back what it counted; the
        verbs count that as invalid. What it does foresee (no room, no connection, closed) is a
        `False`, counted as dropped and told to the log.

        Returns:
            Whether it was queued.
        """

    def flush(self, timeout_s: float | None = None) -> int:
        """Wait until the fate of every queued event is known.

        When called: when the service asks for it, from any thread, while others send.

        May block: `timeout_s` at the most; None takes the time that the settings allow.

        May raise: no.

        Returns:
            How many are still waiting then.
        """

    def close(self, timeout_s: float | None = None) -> int:
        """Flush, give up what remains, take nothing more: later events are dropped.

        When called: when the service asks for it, when it is configured anew, at exit. Any number
        of times.

        May block: as `flush`.

        May raise: no.

        Returns:
            How many events were given up; they count as failed.
        """
