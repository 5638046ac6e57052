"""The client's counts in a service's own /metrics."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest
from tests.rigs.fake_producer import FakeProducer

from ragwheel.client import RagwheelClient
from ragwheel.client.collector import register
from ragwheel.schemas.metrics import ALL_METRICS


def test_every_outcome_is_exported_at_scrape_time(
    client: RagwheelClient, producer: FakeProducer
) -> None:
    registry = CollectorRegistry()
    register(client, registry)

    def events(outcome: str) -> float | None:
        return registry.get_sample_value(
            "ragwheel_client_events_total", {"topic": "queries", "outcome": outcome}
        )

    assert events("delivered") == 0
    client.emit_query("one")
    client.emit_query("")
    pending = "ragwheel_client_pending_events"
    assert registry.get_sample_value(pending, {"topic": "queries"}) == 1
    client.flush()
    producer.room = 0
    client.emit_query("two")
    assert {name: events(name) for name in ("delivered", "failed", "dropped", "invalid")} == {
        "delivered": 1,
        "failed": 0,
        "dropped": 1,
        "invalid": 1,
    }
    assert registry.get_sample_value(pending, {"topic": "queries"}) == 0


def test_the_exported_families_are_those_of_the_registry(client: RagwheelClient) -> None:
    registry = CollectorRegistry()
    collector = register(client, registry)
    wanted = {metric.name: metric for metric in ALL_METRICS if metric.process == "client"}
    exported = {
        family.name + ("_total" if family.type == "counter" else ""): family
        for family in collector.collect()
    }
    assert exported.keys() == wanted.keys()
    for name, family in exported.items():
        assert family.type == wanted[name].kind
        assert {tuple(sample.labels) for sample in family.samples} == {wanted[name].labels}
    assert b"ragwheel_client_events_total" in generate_latest(registry)
