"""The client's counts for a service that serves /metrics. Needs prometheus-client."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from ragwheel.client.client import RagwheelClient
from ragwheel.client.default import default_client
from ragwheel.schemas.metrics import CLIENT_EVENTS, CLIENT_PENDING


class ClientCollector(Collector):
    """Reads `RagwheelClient.stats` at scrape time; costs the request path nothing."""

    def __init__(self, client: RagwheelClient) -> None:
        self._client = client

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        """The families of `ragwheel.schemas.metrics` whose process is `client`."""
        events = CounterMetricFamily(
            CLIENT_EVENTS.name, CLIENT_EVENTS.help, labels=CLIENT_EVENTS.labels
        )
        pending = GaugeMetricFamily(
            CLIENT_PENDING.name, CLIENT_PENDING.help, labels=CLIENT_PENDING.labels
        )
        for topic, counts in self._client.stats().topics.items():
            for outcome in ("delivered", "failed", "dropped", "invalid"):
                events.add_metric([topic, outcome], getattr(counts, outcome))
            pending.add_metric([topic], counts.pending)
        yield events
        yield pending


def register(
    client: RagwheelClient | None = None, registry: CollectorRegistry = REGISTRY
) -> ClientCollector:
    """Export the counts of `client` (None: the default client) from `registry`."""
    collector = ClientCollector(default_client() if client is None else client)
    registry.register(collector)
    return collector
