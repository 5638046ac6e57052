"""Events from a file on a broker: counted when confirmed, and said when not."""

from __future__ import annotations

import orjson
import pytest
from tests.rigs.mock_kafka import MockKafka

from ragwheel.operations.emit import Rules, emit_lines
from ragwheel.schemas.acceptance import Times
from ragwheel.schemas.errors import InvalidEventError, UnavailableError
from ragwheel.schemas.settings import AcceptanceSettings, KafkaSettings

BACKFILL = Rules(Times.of(AcceptanceSettings()), backfill=True)
pytestmark = pytest.mark.integration


def line(query_id: str) -> bytes:
    return orjson.dumps(
        {"event": "query", "query_id": query_id, "ts": "2024-01-31T12:00:00Z", "text": "how?"}
    )


def refuse(number: int, error: InvalidEventError) -> None:
    raise AssertionError(f"line {number}: {error}")


def test_every_confirmed_event_is_counted_and_on_the_broker() -> None:
    with MockKafka("t.queries") as broker:
        settings = KafkaSettings(kafka_bootstrap_servers=broker.servers, topic_prefix="t.")
        report = emit_lines(
            [line(f"q-{n}") for n in range(300)], settings, BACKFILL, on_error=refuse
        )
        assert report.delivered == {"queries": 300}
        assert {key for key, _ in broker.read("t.queries")} == {b"q-%d" % n for n in range(300)}


def test_a_broker_that_confirms_nothing_is_told_with_what_to_do() -> None:
    with MockKafka("t.queries") as broker:
        settings = KafkaSettings(kafka_bootstrap_servers=broker.servers, topic_prefix="t.")
        broker.forbid_next_producer()
        with pytest.raises(UnavailableError, match=r"0 were\. Send the file again"):
            emit_lines([line("q")], settings, BACKFILL, on_error=refuse)
