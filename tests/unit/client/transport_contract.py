"""What `ragwheel.client.transport.Transport` promises, as tests that every transport runs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from ragwheel.client.stats import Counters, TopicStats
from ragwheel.client.transport import Transport
from ragwheel.schemas import wire
from ragwheel.schemas.events import Event, QueryEvent, Record
from ragwheel.schemas.topics import TOPICS, TopicName

_FLUSH_S = 30.0
_TIME = "2026-11-23T12:00:00Z"


@dataclass(frozen=True)
class Line:
    """One transport under test.

    Attributes:
        transport: fresh; nothing was sent with it.
        counters: those it was made with.
        arrived: what has come out at the far end of it, of one topic, as intake reads it.
    """

    transport: Transport
    counters: Counters
    arrived: Callable[[TopicName], list[Record]]

    def send(self, query_id: str, *, wait_s: float = 0.0) -> bool:
        """A query with this id."""
        event = QueryEvent.model_validate({"query_id": query_id, "text": "how?", "ts": _TIME})
        key = wire.key_of(TOPICS["queries"], event)
        return self.transport.send("queries", key, wire.encode(event), wait_s=wait_s)

    def ids(self) -> list[str]:
        """Of the queries that arrived."""
        return [event.query_id for event in self.arrived("queries") if isinstance(event, Event)]

    @property
    def counted(self) -> TopicStats:
        """Of all topics."""
        return self.counters.snapshot().total


class TransportContract:
    """Subclass it beside a fixture `line`."""

    def test_what_is_taken_arrives_as_intake_reads_it(self, line: Line) -> None:
        assert line.send("q-1")
        assert line.transport.flush(_FLUSH_S) == 0
        (event,) = line.arrived("queries")
        assert isinstance(event, QueryEvent)
        assert (event.query_id, event.text) == ("q-1", "how?")
        assert line.counted == TopicStats(queued=1, delivered=1)

    def test_topics_stay_apart(self, line: Line) -> None:
        line.send("q-1")
        line.transport.flush(_FLUSH_S)
        assert line.arrived("feedback") == []

    def test_events_of_one_key_keep_their_order(self, line: Line) -> None:
        for text in map(str, range(50)):
            event = QueryEvent.model_validate({"query_id": "q", "text": text, "ts": _TIME})
            assert line.transport.send("queries", b"q", wire.encode(event))
        assert line.transport.flush(_FLUSH_S) == 0
        texts = [getattr(event, "text", "") for event in line.arrived("queries")]
        assert texts == [str(number) for number in range(50)]

    def test_events_of_many_threads_arrive_once_and_are_counted_once(self, line: Line) -> None:
        def work(thread: int) -> None:
            for number in range(100):
                assert line.send(f"{thread}-{number}")

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert line.transport.flush(_FLUSH_S) == 0
        assert sorted(line.ids()) == sorted(f"{t}-{n}" for t in range(4) for n in range(100))
        assert line.counted == TopicStats(queued=400, delivered=400)

    def test_waiting_for_room_where_there_is_room_changes_nothing(self, line: Line) -> None:
        assert line.send("q-1", wait_s=_FLUSH_S)
        assert line.transport.flush(_FLUSH_S) == 0
        assert line.ids() == ["q-1"]

    def test_closing_delivers_what_was_taken(self, line: Line) -> None:
        line.send("q-1")
        assert line.transport.close(_FLUSH_S) == 0
        assert line.ids() == ["q-1"]
        assert line.counted == TopicStats(queued=1, delivered=1)

    def test_after_closing_events_are_dropped_and_counted(self, line: Line) -> None:
        line.send("before")
        line.transport.close(_FLUSH_S)
        assert not line.send("after")
        assert not line.send("waiting for room that never comes", wait_s=_FLUSH_S)
        assert line.ids() == ["before"]
        assert line.counted == TopicStats(queued=1, delivered=1, dropped=2)

    def test_flushing_and_closing_are_harmless_at_any_time(self, line: Line) -> None:
        assert line.transport.flush(_FLUSH_S) == 0
        assert line.transport.close(_FLUSH_S) == 0
        assert line.transport.close(_FLUSH_S) == 0
        assert line.transport.flush(_FLUSH_S) == 0
        assert line.counted == TopicStats()
