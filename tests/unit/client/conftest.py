"""A client whose producer is a fake."""

from __future__ import annotations

from typing import Any

import pytest
from tests.rigs.fake_producer import FakeProducer

from ragwheel.backends import kafka
from ragwheel.client import RagwheelClient


class _StillThread:
    """No polling behind the test's back."""

    def __init__(self, **_: Any) -> None: ...

    def start(self) -> None: ...


@pytest.fixture
def producer(monkeypatch: pytest.MonkeyPatch) -> FakeProducer:
    """Stands in for every producer that a client opens."""
    fake = FakeProducer()
    monkeypatch.setattr(kafka, "producer", lambda *_, **__: fake)
    monkeypatch.setattr("ragwheel.client.kafka_transport.Thread", _StillThread)
    return fake


@pytest.fixture
def client(producer: FakeProducer) -> RagwheelClient:
    """Sends to the fake."""
    return RagwheelClient(service="shop")
