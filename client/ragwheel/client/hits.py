"""Reading what search libraries return. Pure.

LangChain, LlamaIndex, Haystack, Qdrant, Pinecone and Elasticsearch each call the same four things
differently; a service hands over what it has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from uuid import UUID

from ragwheel.schemas.errors import InvalidEventError
from ragwheel.schemas.limits import MAX_ID_CHARS

#: Names under which common clients keep the same thing, tried in this order.
ID_NAMES = ("chunk_id", "id", "_id", "node_id", "doc_id", "document_id")
SCORE_NAMES = ("score", "_score", "similarity")
TEXT_NAMES = ("text", "page_content", "content")
#: Where some clients put the document, beside its score.
NESTED_NAMES = ("node", "document", "payload", "_source", "metadata")

#: chunk_id, score, text, content_hash, in_context, rank: a `Hit` whose values nobody checked yet.
RawHit = tuple[Any, Any, Any, Any, Any, Any]
_Get = Callable[[str], Any]


class Hit(NamedTuple):
    """One retrieved chunk, for those who would rather be explicit.

    Attributes:
        chunk_id: the service's own id of the chunk.
        score: as the retriever gave it; 0.0 where it gives none (the order tells the rank).
        text: the chunk; may be left out where `content_hash` is known.
        content_hash: `ragwheel.schemas.identity.content_hash` of the text.
        in_context: the chunk was put into the prompt of the answer.
        rank: 1 is the top; None takes the position.
    """

    chunk_id: str
    score: float = 0.0
    text: str | None = None
    content_hash: str = ""
    in_context: bool = False
    rank: int | None = None


def read_hit(item: object, position: int) -> RawHit:
    """Read a `Hit`, a tuple, a mapping or an object with attributes.

    Raises:
        InvalidEventError: `item` is none of them; names `position` (1 is the first).
    """
    if type(item) is dict:
        if "chunk_id" in item and "score" in item and ("content_hash" in item or "text" in item):
            get = item.get
            return (
                item["chunk_id"],
                item["score"],
                get("text"),
                get("content_hash"),
                get("in_context"),
                get("rank"),
            )
        return _by_name(item.get)
    if isinstance(item, Hit):
        return item
    if isinstance(item, tuple | list):
        return _pair(item, position)
    if item is None or isinstance(item, str | bytes | int | float):
        raise invalid(
            "candidates",
            f"candidate {position} is {str(item)[:80]!r} alone; "
            "give (chunk_id, score, text), a dict or an object",
        )
    return _by_name(_getter(item))


def chunk_id_of(item: object) -> str:
    """The chunk id of an id, or of anything that `read_hit` can read.

    Raises:
        InvalidEventError: there is none.
    """
    if isinstance(item, str | int | UUID):
        return checked_id(item, 1)
    return checked_id(read_hit(item, 1)[0], 1)


def checked_id(value: object, position: int) -> str:
    """A chunk id as text.

    Raises:
        InvalidEventError: it is empty, too long or of another type.
    """
    if isinstance(value, str) or (isinstance(value, int | UUID) and not isinstance(value, bool)):
        text = str(value)
        if 0 < len(text) <= MAX_ID_CHARS:
            return text
    raise invalid(
        "chunk_id",
        f"candidate {position} has chunk id {str(value)[:80]!r}; give a str of 1 to {MAX_ID_CHARS} "
        f"characters, an int or a UUID (names tried: {', '.join(ID_NAMES)})",
    )


def invalid(field: str, detail: str) -> InvalidEventError:
    """The error of a bad argument; the field leads, so that complaints can be told apart."""
    return InvalidEventError("invalid_field", f"{field}: {detail}")


def _pair(item: tuple[Any, ...] | list[Any], position: int) -> RawHit:
    if not 2 <= len(item) <= 3:
        raise invalid(
            "candidates",
            f"candidate {position} is a {type(item).__name__} of {len(item)}; "
            "give (chunk_id, score) or (chunk_id, score, text)",
        )
    first, score = item[0], item[1]
    text = item[2] if len(item) == 3 else None
    if isinstance(first, str | int | UUID):
        return (first, score, text, None, False, None)
    read = read_hit(first, position)
    return (read[0], score, text or read[2], *read[3:])


def _by_name(get: _Get) -> RawHit:
    chunk_id = _first(get, ID_NAMES)
    text = _first(get, TEXT_NAMES)
    content_hash = get("content_hash")
    for name in NESTED_NAMES:
        if chunk_id is not None and (text is not None or content_hash):
            break
        inner = get(name)
        if inner is None or callable(inner):
            continue
        inner_get = _getter(inner)
        chunk_id = _first(inner_get, ID_NAMES) if chunk_id is None else chunk_id
        text = _first(inner_get, TEXT_NAMES) if text is None else text
        content_hash = content_hash or inner_get("content_hash")
    score = _first(get, SCORE_NAMES)
    return (chunk_id, score, text, content_hash, get("in_context"), get("rank"))


def _getter(item: object) -> _Get:
    if isinstance(item, Mapping):
        return item.get
    return lambda name: getattr(item, name, None)


def _first(get: _Get, names: tuple[str, ...]) -> Any:
    for name in names:
        value = get(name)
        if value is not None and not callable(value):
            return value
    return None
