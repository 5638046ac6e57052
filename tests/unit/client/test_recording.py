"""The tests of a service see what it emits, without a broker."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import pytest
from tests.rigs.fake_producer import FakeProducer
from tests.unit.client.transport_contract import Line, TransportContract

import ragwheel.client as ragwheel
from ragwheel.backends import kafka
from ragwheel.client import RagwheelClient, TopicStats
from ragwheel.client.recording import Recorded, RecordingTransport, recorded
from ragwheel.client.stats import Counters
from ragwheel.schemas.events import ChunkEvent, FeedbackEvent, QueryEvent, Record, RetrievalEvent
from ragwheel.schemas.topics import TOPICS, TopicName

HITS = [("c-1", 0.9, "one"), ("c-2", 0.8, "two")]


class TestTheContract(TransportContract):
    @pytest.fixture
    def line(self) -> Line:
        events, counters = Recorded(), Counters()

        def arrived(topic: TopicName) -> list[Record]:
            return [event for event in events if type(event) is TOPICS[topic].model]

        return Line(RecordingTransport(events, counters), counters, arrived)


@pytest.fixture
def no_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(*_: object, **__: object) -> None:
        raise AssertionError("a producer was opened")

    monkeypatch.setattr(kafka, "producer", opened)


@pytest.fixture
def fresh_default(no_broker: None) -> Iterator[None]:
    """The default client reads the environment at its first event, and again after the test."""
    ragwheel.configure()
    yield
    ragwheel.configure()


def test_events_come_validated_and_in_order(no_broker: None) -> None:
    client = RagwheelClient(service="shop")
    with recorded() as events:
        with client.query("rotate a key", segment="docs") as query:
            query.retrieved(HITS, stage="dense", k=2)
            query.used("c-2")
            query.cited("c-2")
        client.emit_chunks([("c-1", "one")])
    asked, cited, found, chunk = events
    assert isinstance(asked, QueryEvent)
    assert isinstance(cited, FeedbackEvent)
    assert isinstance(found, RetrievalEvent)
    assert isinstance(chunk, ChunkEvent)
    assert (found.service, found.query_id, found.stage) == ("shop", query.query_id, "dense")
    assert [candidate.in_context for candidate in found.candidates] == [False, True]
    assert events.of(RetrievalEvent) == [found]
    assert client.stats().total == TopicStats(queued=4, delivered=4)


@pytest.mark.usefixtures("fresh_default")
def test_the_functions_of_the_module_are_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAGWHEEL_SERVICE", "help-centre")
    with recorded() as events:
        query_id = ragwheel.emit_query("how?")
        ragwheel.feedback(query_id, "thumbs_up")
    assert [getattr(event, "service", "") for event in events] == ["help-centre"] * 2


@pytest.mark.usefixtures("fresh_default")
def test_a_client_that_is_switched_off_is_recorded_and_stays_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RAGWHEEL_CLIENT_ENABLED", "false")
    assert not ragwheel.feedback("q", "cited")
    with recorded() as events:
        assert ragwheel.feedback("q", "cited")
    assert not ragwheel.feedback("q", "cited")
    assert len(events) == 1


def test_after_the_block_events_go_where_they_went_before(
    client: RagwheelClient, producer: FakeProducer
) -> None:
    client.emit_query("before", query_id="before")
    with recorded() as events:
        client.emit_query("during", query_id="during")
    client.emit_query("after", query_id="after")
    assert [getattr(event, "query_id", "") for event in events] == ["during"]
    assert [key for _, key, _ in producer.sent] == [b"before", b"after"]


def test_what_was_queued_before_the_block_is_still_delivered(
    client: RagwheelClient, producer: FakeProducer
) -> None:
    client.emit_query("before")
    with recorded():
        assert client.flush() == 0
        assert client.stats().total.pending == 1
    client.flush()
    assert client.stats().total == TopicStats(queued=1, delivered=1)


def test_an_exception_ends_the_block_and_passes_through(
    client: RagwheelClient, producer: FakeProducer
) -> None:
    with pytest.raises(LookupError), recorded():
        raise LookupError
    client.emit_query("after")
    assert len(producer.sent) == 1


def test_of_nested_blocks_the_inner_one_records(no_broker: None) -> None:
    client = RagwheelClient()
    with recorded() as outer:
        client.emit_query("1")
        with recorded() as inner:
            client.emit_query("2")
        client.emit_query("3")
    assert [event.text for event in outer.of(QueryEvent)] == ["1", "3"]
    assert [event.text for event in inner.of(QueryEvent)] == ["2"]


def test_blocks_that_overlap_end_in_any_order(
    client: RagwheelClient, producer: FakeProducer
) -> None:
    first, second = recorded(), recorded()
    with first:
        later = second.__enter__()
    client.emit_query("second still runs")
    second.__exit__(None, None, None)
    client.emit_query("none runs")
    assert len(later) == 1
    assert len(producer.sent) == 1


def test_other_threads_and_clients_made_in_the_block_are_recorded(no_broker: None) -> None:
    def work(number: int) -> None:
        for each in range(100):
            RagwheelClient().emit_query("x", query_id=f"{number}-{each}")

    with recorded() as events:
        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    found = [event.query_id for event in events.of(QueryEvent)]
    assert sorted(found) == sorted(f"{t}-{n}" for t in range(4) for n in range(100))


def test_a_query_begun_before_the_block_is_recorded_in_it(
    client: RagwheelClient, producer: FakeProducer
) -> None:
    query = client.query("x")
    with recorded() as events:
        query.retrieved(HITS)
    assert len(events.of(RetrievalEvent)) == 1
    assert len(producer.sent) == 1


def test_a_service_that_closes_its_client_drops_what_comes_later_until_the_next_block(
    client: RagwheelClient, producer: FakeProducer
) -> None:
    with recorded() as events:
        assert client.feedback("q", "cited")
        client.close()
        assert not client.feedback("q", "cited")
    assert len(events) == 1
    with recorded() as events:
        assert client.feedback("q", "cited")
    assert client.feedback("q", "cited")  # its own transport was never closed
    assert (len(events), len(producer.sent)) == (1, 1)


def test_a_service_that_configures_its_client_in_the_block_is_still_recorded(
    no_broker: None,
) -> None:
    client = RagwheelClient(service="before")
    with recorded() as events:
        client.feedback("q", "cited")
        client.configure(service="after")
        client.feedback("q", "cited")
    assert [event.service for event in events.of(FeedbackEvent)] == ["before", "after"]


def test_a_refused_call_leaves_no_event_and_is_counted(
    no_broker: None, caplog: pytest.LogCaptureFixture
) -> None:
    client = RagwheelClient()
    nested: object = "deep"
    for _ in range(205):
        nested = [nested]
    with recorded() as events:
        client.emit_query("")
        client.emit_query("x", attributes={"deeper than intake takes": nested})
    assert events == []
    assert client.stats().total == TopicStats(invalid=2)
    assert "deeper than 200 levels" in caplog.text


def test_wrong_settings_are_not_hidden(no_broker: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAGWHEEL_SERVCE", "shop")
    client = RagwheelClient()
    with recorded() as events:
        client.emit_query("x")
    assert events == []
    assert "did you mean RAGWHEEL_SERVICE?" in client.problem
    assert client.stats().total == TopicStats(dropped=1)


def test_a_forked_child_records_for_itself(no_broker: None) -> None:
    client = RagwheelClient()
    with recorded() as events:
        client.emit_query("parent")
        child = os.fork()
        if child == 0:
            client.emit_query("child")
            with recorded() as inner:
                client.emit_query("child")
            os._exit(0 if (len(events), len(inner)) == (2, 1) else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert len(events) == 1
