"""Events that must not land: one of each kind of fault that services produce in practice.

Each knows the reason under which it has to appear in the dead-letter topic, so a run does not only
show that something was rejected but that everything was rejected for what it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import orjson

from ragwheel.schemas.events import DeadLetterReason
from ragwheel.schemas.limits import MAX_EVENT_BYTES
from ragwheel.schemas.topics import TopicName


@dataclass(frozen=True, slots=True)
class BrokenEvent:
    """Raw bytes for a topic, and what intake must say about them."""

    topic: TopicName
    key: bytes | None
    value: bytes
    reason: DeadLetterReason


def broken_events(now: datetime) -> Iterator[BrokenEvent]:
    """One broken event per fault.

    Args:
        now: aware time around which timestamps are made.
    """
    query = {
        "event": "query",
        "event_id": "broken-query",
        "query_id": "broken",
        "ts": now.astimezone(UTC).isoformat(),
        "text": "how to break a consumer",
    }
    candidates = [
        {"chunk_id": "a", "rank": 1, "score": 0.9, "content_hash": "0" * 32},
        {"chunk_id": "b", "rank": 1, "score": 0.8, "content_hash": "1" * 32},
    ]
    retrieval = {**query, "event": "retrieval", "query": query["text"], "candidates": candidates}
    long_ago = (now - timedelta(days=5_000)).isoformat()
    key = b"broken"

    def made(
        value: Mapping[str, object],
        reason: DeadLetterReason,
        topic: TopicName = "queries",
        key: bytes | None = key,
    ) -> BrokenEvent:
        return BrokenEvent(topic, key, orjson.dumps(value), reason)

    whole = orjson.dumps(query)
    yield BrokenEvent("queries", key, whole[: len(whole) // 2], "malformed_json")
    yield BrokenEvent("queries", key, b"[1, 2, 3]", "malformed_json")
    yield BrokenEvent("queries", key, whole.replace(b"how", b"h\xf6w"), "not_utf8")
    yield made({**query, "event": "purchase"}, "unknown_event")
    yield made({**query, "schema_version": 99}, "unknown_schema_version")
    yield made({**query, "text": 17}, "invalid_field")
    yield made({**query, "ts": long_ago}, "timestamp_out_of_range")
    yield made(query, "missing_key", key=None)
    yield made(query, "key_mismatch", key=b"another")
    yield made({**query, "attributes": {"paste": "x" * MAX_EVENT_BYTES}}, "oversize")
    yield made(retrieval, "invalid_candidates", "retrievals")
    nan = orjson.dumps({**retrieval, "candidates": candidates[:1]}).replace(b"0.9", b"NaN")
    yield BrokenEvent("retrievals", key, nan, "invalid_field")
    yield made({**query, "event": "feedback", "kind": "shrugged"}, "invalid_field", "feedback")
