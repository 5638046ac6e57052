"""The client of the process: configured from the environment at its first event."""

from __future__ import annotations

from ragwheel.client.client import RagwheelClient

_CLIENT = RagwheelClient()

configure = _CLIENT.configure
query = _CLIENT.query
feedback = _CLIENT.feedback
emit_query = _CLIENT.emit_query
emit_retrieval = _CLIENT.emit_retrieval
emit_feedback = _CLIENT.emit_feedback
emit_chunks = _CLIENT.emit_chunks
emit_deleted_chunks = _CLIENT.emit_deleted_chunks
emit_index = _CLIENT.emit_index
flush = _CLIENT.flush
close = _CLIENT.close
stats = _CLIENT.stats


def default_client() -> RagwheelClient:
    """The client behind the functions of `ragwheel.client`."""
    return _CLIENT
