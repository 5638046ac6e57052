"""Where the settings of a client come from, and what wrong ones do."""

from __future__ import annotations

import pytest
from tests.rigs.fake_producer import FakeProducer

from ragwheel.backends import kafka
from ragwheel.client import RagwheelClient, TopicStats
from ragwheel.schemas.errors import ConfigError
from ragwheel.schemas.events import RetrievalEvent
from ragwheel.schemas.loading import load
from ragwheel.schemas.settings import ClientSettings

HITS = [("c-1", 0.9, "one"), ("c-2", 0.8, "two")]


def test_a_configuration_that_kafka_refuses_drops_counts_and_is_not_tried_at_every_event(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tries: list[int] = []

    def refuse(*_: object, **__: object) -> None:
        tries.append(1)
        raise ConfigError("RAGWHEEL_KAFKA_SASL_PASSWORD is empty")

    monkeypatch.setattr(kafka, "producer", refuse)
    client = RagwheelClient()
    for _ in range(100):
        client.emit_query("x")
    assert client.stats().total == TopicStats(dropped=100)
    assert len(tries) == 1
    (line,) = caplog.messages
    assert "RAGWHEEL_KAFKA_SASL_PASSWORD is empty" in line


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("RAGWHEEL_CLIENT_QUEUE_MIB", "lots", "RAGWHEEL_CLIENT_QUEUE_MIB: 'lots'"),
        ("RAGWHEEL_SERVCE", "shop", "did you mean RAGWHEEL_SERVICE?"),
    ],
)
def test_a_wrong_setting_is_said_once_and_every_event_counts_as_dropped(
    producer: FakeProducer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    name: str,
    value: str,
    words: str,
) -> None:
    monkeypatch.setenv(name, value)
    client = RagwheelClient()
    assert client.problem == ""  # the environment is not read before the first event
    with client.query("x") as query:
        query.retrieved(HITS)
        query.cited("c-1")
    client.emit_chunks([("c-1", "one")])
    assert words in client.problem
    assert [stats.dropped for stats in client.stats().topics.values()] == [1, 1, 1, 1]
    assert producer.sent == []
    (line,) = caplog.messages
    assert words in line
    monkeypatch.delenv(name)
    client.configure(service="shop")
    assert client.feedback("q", "cited")
    assert client.problem == ""


def test_a_disabled_client_accepts_everything_and_does_nothing(
    producer: FakeProducer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("RAGWHEEL_CLIENT_ENABLED", "false")
    client = RagwheelClient()
    with client.query("x") as query:
        query.retrieved(HITS)
        query.used("c-1")
        query.cited("c-1")
    assert not client.feedback(query.query_id, "thumbs_up")
    assert client.emit_chunks([("c-1", "one")]) == 0
    assert client.flush() == 0
    client.close()
    assert producer.sent == []
    assert client.stats().total == TopicStats()
    assert caplog.messages == []


def test_settings_may_be_given_instead_of_read(producer: FakeProducer) -> None:
    client = RagwheelClient(load(ClientSettings, service="given"), client_send_text=False)
    client.emit_retrieval("q", "x", HITS)
    (event,) = producer.records()
    assert isinstance(event, RetrievalEvent)
    assert event.service == "given"
    assert event.candidates[0].text is None
