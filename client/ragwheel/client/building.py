"""Events as plain dicts, checked as the schema checks them. Pure: time and ids are passed in.

A test holds that whatever is built here is accepted by `ragwheel.schemas.wire.decode`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import index
from typing import Any, NamedTuple, get_args, get_type_hints
from uuid import UUID

from ragwheel.client.candidates import Fields, candidates, checked_text
from ragwheel.client.described import ABOUT_INDEX_CHARS, AboutIndex, Measured, unknown_argument
from ragwheel.client.hits import checked_id, chunk_id_of, invalid, read_hit
from ragwheel.schemas import identity
from ragwheel.schemas.events import FeedbackEvent, FeedbackKind, QueryEvent, Record, RetrievalEvent
from ragwheel.schemas.limits import (
    MAX_CHUNKS,
    MAX_FLOAT32,
    MAX_ID_CHARS,
    MAX_NAME_CHARS,
    MAX_RANK,
)

_KINDS: frozenset[str] = frozenset(get_args(FeedbackKind))


class Origin(NamedTuple):
    """What every event of a query carries.

    Attributes:
        event_id: identity of the event; a resent event keeps it.
        ts: when it happened; must know its time zone.
        service: `service.name` of OpenTelemetry.
        segment: the retrieval task.
        extra: further fields, kept in the archive.
    """

    event_id: str
    ts: datetime
    service: str
    segment: str
    extra: Mapping[str, Any] | None


def query_event(
    origin: Origin,
    query_id: str,
    text: str,
    user: object,
    session: object,
    attributes: Mapping[str, Any] | None,
) -> Fields:
    """A QueryEvent.

    Raises:
        InvalidEventError: an argument breaks the schema; names it and the fix. (All builders.)
    """
    event = _head("query", origin, query_id)
    event["text"] = checked_text("text", text)
    if user:
        event["user"] = _name("user", str(user))
    if session:
        event["session"] = _name("session", str(session))
    if attributes:
        event["attributes"] = dict(attributes)
    return _with_extra(event, origin.extra, QueryEvent)


def retrieval_event(
    origin: Origin,
    query_id: str,
    query: str,
    hits: Iterable[object],
    described: Measured,
    *,
    send_text: bool,
) -> Fields:
    """A RetrievalEvent; no hits is a zero-result search, which is valid."""
    event = _head("retrieval", origin, query_id)
    event["query"] = checked_text("query", query)
    for name, value in described.items():
        check = _CHECKS.get(name)
        if check is None:
            raise unknown_argument(name, _CHECKS)
        if value is not None:
            event[name] = check(name, value)
    event["candidates"] = candidates(hits, send_text=send_text)
    return _with_extra(event, origin.extra, RetrievalEvent)


def feedback_event(
    origin: Origin, query_id: str, kind: str, chunk_id: object, value: float
) -> Fields:
    """A FeedbackEvent; `chunk_id` None is feedback about the whole answer."""
    if kind not in _KINDS:
        raise invalid("kind", f"{kind!r} is unknown; one of {', '.join(sorted(_KINDS))}")
    event = _head("feedback", origin, query_id)
    event["kind"] = kind
    if chunk_id is not None:
        event["chunk_id"] = checked_id(chunk_id, 1)
    event["value"] = _number("value", value)
    return _with_extra(event, origin.extra, FeedbackEvent)


@dataclass(frozen=True, slots=True)
class Placement:
    """Where chunks are, or are no more.

    Attributes:
        ts: of the newest event of a chunk id counts.
    """

    ts: datetime
    index: str
    index_version: str

    def fields(self) -> Fields:
        """As the events of chunks and indexes have it."""
        return {
            "schema_version": 1,
            "ts": _time(self.ts),
            "index": _name("index", self.index),
            "index_version": _name("index_version", self.index_version),
        }


def chunk_event(item: object, position: int, place: Placement, source: str) -> Fields:
    """A ChunkEvent of `(chunk_id, text)` or of anything that `read_hit` can read.

    It has no event id: the reader derives it from the content, so that sending a corpus twice
    changes nothing.
    """
    if isinstance(item, tuple | list) and len(item) == 2:
        chunk_id, text = item
    else:
        read = read_hit(item, position)
        chunk_id, text = read[0], read[2]
    text = checked_text("text", text, of=f"chunk {position}")
    return {
        "event": "chunk",
        **place.fields(),
        "chunk_id": checked_id(chunk_id, position),
        "text": text,
        "content_hash": identity.content_hash(text),
        "source": _name("source", source),
    }


def deleted_chunk_event(chunk_id: object, position: int, place: Placement) -> Fields:
    """The ChunkEvent of a chunk that is in the index no more."""
    return {
        "event": "chunk",
        **place.fields(),
        "chunk_id": checked_id(chunk_id_of(chunk_id), position),
        "deleted": True,
    }


def index_event(place: Placement, chunks: int, about: AboutIndex) -> Fields:
    """An IndexEvent."""
    if not place.index_version:
        raise invalid("index_version", "name the build that is declared")
    if unknown := about.keys() - AboutIndex.__annotations__.keys():
        raise unknown_argument(min(unknown), AboutIndex.__annotations__)
    event: Fields = {
        "event": "index",
        **place.fields(),
        "complete": bool(about.get("complete", True)),
        "chunks": _whole("chunks", chunks, MAX_CHUNKS),
        "max_seq_length": _whole("max_seq_length", about.get("max_seq_length", 0), MAX_CHUNKS),
    }
    for name, longest in ABOUT_INDEX_CHARS.items():
        event[name] = _name(name, about.get(name, ""), longest)
    return event


def _head(tag: str, origin: Origin, query_id: str) -> Fields:
    return {
        "event": tag,
        "schema_version": 1,
        "event_id": _id("event_id", origin.event_id),
        "query_id": _id("query_id", query_id),
        "ts": _time(origin.ts),
        "service": _name("service", origin.service),
        "segment": _name("segment", origin.segment),
    }


def _with_extra(event: Fields, extra: Mapping[str, Any] | None, model: type[Record]) -> Fields:
    if not extra:
        return event
    taken = sorted(set(extra) & set(model.model_fields))
    if taken:
        raise invalid("extra", f"{taken[0]!r} is a field of the event itself; rename it")
    return {**extra, **event}


def _time(value: datetime) -> datetime:
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise invalid("ts", f"a datetime with a time zone is needed, not {value!r}")
    return value if value.tzinfo is UTC else value.astimezone(UTC)


def _id(field: str, value: object) -> str:
    if not isinstance(value, str) and isinstance(value, UUID | int):
        value = str(value)
    if isinstance(value, str) and 0 < len(value) <= MAX_ID_CHARS:
        return value
    raise invalid(field, f"a str of 1 to {MAX_ID_CHARS} characters is needed, not {value!r:.80}")


def _name(field: str, value: object, longest: int = MAX_NAME_CHARS) -> str:
    if isinstance(value, str) and len(value) <= longest:
        return value
    raise invalid(field, f"a str of at most {longest} characters is needed, not {value!r:.80}")


def _whole(field: str, value: Any, largest: int = MAX_RANK) -> int:
    try:
        number = index(value)  # takes the integers of numeric libraries, too
    except TypeError:
        number = -1
    if not 0 <= number <= largest:
        raise invalid(field, f"an int from 0 to {largest} is needed, not {value!r:.80}")
    return number


def _number(field: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise invalid(field, f"a finite number is needed, not {value!r:.80}")
    return number


def _amount(field: str, value: Any) -> float:
    number = _number(field, value)
    if not 0 <= number <= MAX_FLOAT32:
        raise invalid(field, f"it cannot be negative or beyond 32 bits, as {number} is")
    return number


_CHECK_OF: dict[object, Callable[[str, Any], object]] = {
    str | None: _name,
    int | None: _whole,
    float | None: _amount,
}
_CHECKS = {name: _CHECK_OF[kind] for name, kind in get_type_hints(Measured).items()}
