"""What leaves a service is redacted, or does not leave."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson
import pytest
from tests.rigs.fake_producer import FakeProducer

from ragwheel.client import RagwheelClient
from ragwheel.client.recording import recorded
from ragwheel.schemas import identity
from ragwheel.schemas.events import ChunkEvent, FeedbackEvent, QueryEvent, RetrievalEvent

MAIL = "ann@example.org"


class Card:
    """Something of the service's that says more than it shows."""

    def __str__(self) -> str:
        return f"card of {MAIL}"


def failing(text: str) -> str:
    if "secret" in text:
        raise ValueError(f"cannot read {text}")
    return text


def client(**settings: Any) -> RagwheelClient:
    return RagwheelClient(service="shop", redact_rules="common", **settings)


def tell_everything(made: RagwheelClient) -> None:
    with made.query(
        f"mail of {MAIL}", user=MAIL, session=MAIL, attributes={"card": Card(), "id": uuid4()}
    ) as query:
        query.retrieved([("c-1", 0.5, f"by {MAIL}")], query=MAIL, extra={"note": [MAIL]})
        query.feedback("cited", "c-1")
    made.emit_feedback(query.query_id, "custom", extra={"said": MAIL})
    made.emit_chunks([("c-1", f"by {MAIL}")], source=MAIL)


def test_every_text_is_redacted_before_it_leaves() -> None:
    made = client()
    with recorded() as events:
        tell_everything(made)
    assert MAIL not in repr(events)
    (query,), (retrieval,) = events.of(QueryEvent), events.of(RetrievalEvent)
    assert (query.text, query.user, query.session) == ("mail of <email>", "<email>", "<email>")
    assert query.attributes["card"] == "card of <email>"
    assert (retrieval.query, retrieval.unknown_fields()) == ("<email>", {"note": ["<email>"]})
    assert retrieval.candidates[0].text == "by <email>"
    assert events.of(FeedbackEvent)[1].unknown_fields() == {"said": "<email>"}
    (chunk,) = events.of(ChunkEvent)
    assert (chunk.text, chunk.source) == ("by <email>", "<email>")
    assert made.stats().total.invalid == 0


def test_hashes_are_of_the_redacted_text_where_texts_do_not_travel(producer: FakeProducer) -> None:
    made = client(client_send_text=False)
    tell_everything(made)
    sent = {topic: orjson.loads(value) for topic, _, value in producer.sent}
    (candidate,), chunk = sent["retrievals"]["candidates"], sent["chunks"]
    assert candidate["content_hash"] == identity.content_hash("by <email>")
    assert candidate["content_hash"] == chunk["content_hash"]
    assert "text" not in candidate


def test_an_event_whose_redaction_fails_is_counted_and_never_leaves_nor_is_it_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    made = RagwheelClient(redact_function=f"{__name__}:failing")
    with caplog.at_level(logging.DEBUG), recorded() as events:
        with made.query("a secret thing") as query:
            query.retrieved([("c-1", 0.5, "a secret text")], query="plain")
            query.retrieved([("c-1", 0.5, "plain")], query="plain")
        made.emit_query("plain", attributes={"deep": [{"a": "secret"}]})
    assert [type(event) for event in events] == [RetrievalEvent]
    stats = made.stats().topics
    assert (stats["queries"].invalid, stats["retrievals"].invalid) == (2, 1)
    assert "secret" not in caplog.text
    assert "the function raised ValueError" in caplog.text


@pytest.mark.parametrize("setting", ["redact_rules", "redact_function"])
def test_what_cannot_be_used_lets_nothing_out(setting: str, tmp_path: Path) -> None:
    settings: dict[str, Any] = {setting: str(tmp_path / "nowhere")}
    made = RagwheelClient(**settings)
    with recorded() as events:
        made.emit_query("text")
    assert events == []
    assert f"RAGWHEEL_{setting.upper()}" in made.problem
    assert made.stats().total.dropped == 1


def test_redaction_can_be_set_later_and_taken_away() -> None:
    made = RagwheelClient()
    with recorded() as events:
        for rules in ("", "common", ""):
            made.configure(redact_rules=rules)
            made.emit_query(MAIL)
    assert [event.text for event in events.of(QueryEvent)] == [MAIL, "<email>", MAIL]
