"""The Faust application is set up in the ways that were seen to be safe, and in no other."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ragwheel.grading.app import create_app, read
from ragwheel.grading.window import OrderedWindow
from ragwheel.schemas.loading import load
from ragwheel.schemas.settings import GraderSettings
from ragwheel.schemas.wire import Received


class Recorder:
    def __init__(self) -> None:
        self.deliveries: list[Received] = []

    async def handle(self, message: Received) -> None:
        self.deliveries.append(message)


def _app(tmp_path: Path, **settings: Any) -> Any:
    window = OrderedWindow(4, lambda: 0.0)
    return create_app(load(GraderSettings, **settings), Recorder().handle, window, tmp_path)


def test_nothing_is_served_declared_or_acknowledged_for_us(tmp_path: Path) -> None:
    app = _app(tmp_path)
    assert app.conf.web_enabled is False
    assert app.conf.topic_allow_declare is False
    assert app.conf.topic_disable_leader is True
    assert app.conf.stream_wait_empty is False
    (agent,) = app.agents.values()
    assert agent.concurrency == 1
    assert agent.channel.get_topic_name() == "ragwheel.grading"


def test_a_long_wait_for_the_llm_is_not_taken_for_death(tmp_path: Path) -> None:
    conf = _app(tmp_path, session_timeout_s=6, llm_deadline_s=86_400).conf
    assert conf.broker_max_poll_interval > 86_400
    assert conf.broker_session_timeout == 6
    assert conf.broker_heartbeat_interval * 3 < 6
    assert conf.broker_request_timeout > conf.broker_session_timeout


@pytest.mark.parametrize(
    ("protocol", "kind"),
    [("PLAINTEXT", "NoneType"), ("SSL", "SSLCredentials"), ("SASL_SSL", "SASLCredentials"),
     ("SASL_PLAINTEXT", "SASLCredentials")],
)  # fmt: skip
def test_credentials_follow_the_settings(tmp_path: Path, protocol: str, kind: str) -> None:
    app = _app(
        tmp_path,
        kafka_security_protocol=protocol,
        kafka_sasl_username="me",
        kafka_sasl_password="secret",
    )
    credentials = app.conf.broker_credentials
    assert type(credentials).__name__ == kind
    if credentials is not None:
        assert credentials.protocol.value == protocol


async def test_every_event_is_handled_and_acknowledged_as_it_came() -> None:
    acknowledged: list[int] = []

    async def events() -> AsyncIterator[Any]:
        for offset in range(5):
            message = SimpleNamespace(
                partition=2, offset=offset, key=b"k", value=b"v", timestamp=1.5
            )
            yield SimpleNamespace(message=message, ack=lambda at=offset: acknowledged.append(at))

    recorder = Recorder()
    window = OrderedWindow(2, lambda: 0.0)
    await read(events(), recorder.handle, window)
    assert await window.drain(1.0)
    assert recorder.deliveries == [
        Received("grading", 2, offset, b"k", b"v", timestamp_ms=1_500) for offset in range(5)
    ]
    assert acknowledged == [0, 1, 2, 3, 4]
