"""What the launched broker is told."""

from __future__ import annotations

from pathlib import Path

from ragwheel.schemas.limits import MAX_MESSAGE_BYTES
from ragwheel.stack.kafka.config import server_properties


def properties() -> dict[str, str]:
    text = server_properties(log_dir=Path("/data/storage"), broker_port=9, controller_port=10)
    return dict(line.split("=", 1) for line in text.splitlines())


def test_everything_listens_on_loopback_only() -> None:
    for name, value in properties().items():
        if name.endswith("listeners"):
            for listener in value.split(","):
                assert "://127.0.0.1:" in listener or "://" not in listener


def test_a_misspelt_topic_is_an_error_and_large_messages_fit() -> None:
    assert properties()["auto.create.topics.enable"] == "false"
    assert int(properties()["message.max.bytes"]) == MAX_MESSAGE_BYTES


def test_one_node_is_asked_for_one_replica_of_everything() -> None:
    factors = {n: v for n, v in properties().items() if n.endswith(("replication.factor", ".isr"))}
    assert len(factors) >= 4
    assert set(factors.values()) == {"1"}


def test_a_killed_broker_waits_for_its_own_session_only_briefly() -> None:
    # The default of 9 s makes every restart after a crash take 11 s.
    session_ms = int(properties()["broker.session.timeout.ms"])
    heartbeat_ms = int(properties()["broker.heartbeat.interval.ms"])
    assert session_ms <= 3000
    assert heartbeat_ms * 4 <= session_ms, "one late heartbeat must not cost the session"
