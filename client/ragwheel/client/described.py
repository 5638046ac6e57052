"""What a service may say about an event, and of a retrieval in particular: each field once.

A new field of a retrieval is one line here and one in `ragwheel.schemas.events.RetrievalEvent`: the
verbs take it by name, mypy knows its type, and `ragwheel.client.building` checks it by that type.
Text is a name of at most 128 characters, an int a count, a float an amount of 0 or more. None says
as much as leaving the field out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, TypedDict

from ragwheel.client.hits import invalid
from ragwheel.schemas.errors import InvalidEventError
from ragwheel.schemas.limits import MAX_DETAIL_CHARS, MAX_MODEL_NAME_CHARS, MAX_NAME_CHARS


class ServedBy(TypedDict, total=False):
    """What is known of the model that encoded the query."""

    model_id: str | None
    """Which trained model that was: header `X-Ragwheel-Model` of ragwheel's server."""
    document_fingerprint: str | None
    """Which documents it was compared with: header `X-Ragwheel-Documents`."""


class Described(ServedBy, total=False):
    """What is known before a stage runs."""

    stage: str | None
    """Part of the pipeline: bm25, dense, fusion, rerank …; left out, it is dense."""
    retriever: str | None
    """Which of several retrievers of that kind."""
    embedding_model: str | None
    """Name of the model that encoded the query."""
    index: str | None
    """Which index was searched: the name under which its chunks are sent."""
    index_version: str | None
    """Which build of it."""
    k: int | None
    """How many hits were asked for; 0 is unknown."""


class Measured(Described, total=False):
    """What is known once it has run."""

    latency_ms: float | None
    """What the stage took. Left out, `Query` takes the time since the query began or since the
    stage before, and `emit_retrieval` says nothing."""


class AboutIndex(TypedDict, total=False):
    """What a service says of a build of an index besides its size."""

    complete: bool
    """The build is finished and may be searched. Left out, it is."""
    embedding_model: str
    """Name of the model that embedded the chunks."""
    document_fingerprint: str
    """Identity of its weights."""
    prompt: str
    """What stood before each text when it was embedded."""
    max_seq_length: int
    """Tokens after which a chunk was cut."""


#: How long its texts may be, characters.
ABOUT_INDEX_CHARS = {
    "embedding_model": MAX_MODEL_NAME_CHARS,
    "document_fingerprint": MAX_NAME_CHARS,
    "prompt": MAX_DETAIL_CHARS,
}


class Stamped(TypedDict, total=False):
    """What any event of a query may carry."""

    segment: str
    """The retrieval task (docs, code, tools …): metrics and gates are per segment."""
    ts: datetime | None
    """When it happened, with a time zone. Left out, it is now."""
    event_id: str | None
    """The same for a resent event, so that it counts once. Left out, one is made."""
    extra: Mapping[str, Any] | None
    """Further fields, kept in the archive."""


class Sent(Stamped, Measured, total=False):
    """All of it: a retrieval that is sent without a `Query`."""


def served(headers: Mapping[str, str]) -> ServedBy:
    """What the headers of an embedding's response say of the model that made it.

        query.retrieved(hits, **ragwheel.served(response.headers))

    Args:
        headers: of any HTTP client, in any case. An answer that has none says nothing.
    """
    found: ServedBy = {}
    for name, value in headers.items():
        if name.lower() == "x-ragwheel-model":
            found["model_id"] = value
        elif name.lower() == "x-ragwheel-documents":
            found["document_fingerprint"] = value
    return found


def unknown_argument(name: str, known: Iterable[str]) -> InvalidEventError:
    """The error of a misspelt name: at run time Python takes any for `**`."""
    return invalid("arguments", f"{name!r} is unknown; one of {', '.join(sorted(known))}")
