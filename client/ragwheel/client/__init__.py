"""What a service imports to tell ragwheel what it searched, found and learned.

    import ragwheel.client as ragwheel

    with ragwheel.query("how do I rotate a key?", segment="docs") as q:
        hits = search(q.text, k=20)
        q.retrieved(hits, stage="dense", k=20)
        q.used(hits[:5])

Light (no torch, no Faust, no database client), never raises into the caller, never waits for the
broker, counts what it drops. docs/instrumentation.md is the guide.
"""

from ragwheel.client.client import RagwheelClient
from ragwheel.client.context import Query, Stage, current_query
from ragwheel.client.default import (
    close,
    configure,
    default_client,
    emit_chunks,
    emit_deleted_chunks,
    emit_feedback,
    emit_index,
    emit_query,
    emit_retrieval,
    feedback,
    flush,
    query,
    stats,
)
from ragwheel.client.described import served
from ragwheel.client.hits import Hit
from ragwheel.client.stats import ClientStats, TopicStats

__all__ = [
    "ClientStats",
    "Hit",
    "Query",
    "RagwheelClient",
    "Stage",
    "TopicStats",
    "close",
    "configure",
    "current_query",
    "default_client",
    "emit_chunks",
    "emit_deleted_chunks",
    "emit_feedback",
    "emit_index",
    "emit_query",
    "emit_retrieval",
    "feedback",
    "flush",
    "query",
    "served",
    "stats",
]
