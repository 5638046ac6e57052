"""The candidates of a RetrievalEvent from what a service has. Pure.

Plain dicts instead of pydantic models, because this runs on the service's request path; a test
holds that everything built here passes `ragwheel.schemas.events.Candidate`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from ragwheel.client.hits import RawHit, checked_id, invalid, read_hit
from ragwheel.schemas import identity
from ragwheel.schemas.limits import (
    MAX_CANDIDATES,
    MAX_FLOAT32,
    MAX_ID_CHARS,
    MAX_RANK,
    MAX_TEXT_CHARS,
)

_HASH_CHARS = 32
_HEX_DIGITS = "0123456789abcdef"

Fields = dict[str, Any]


def candidates(items: Iterable[object], *, send_text: bool) -> list[Fields]:
    """The `candidates` field, in the order given.

    Args:
        items: anything that `ragwheel.client.hits.read_hit` can read.
        send_text: False replaces texts by their content hashes.

    Raises:
        InvalidEventError: an item cannot be used; names its position and the fix.
    """
    found: list[Fields] = []
    hashes: list[str] = []
    ranks_given = False
    for position, item in enumerate(items, 1):
        # The two usual forms are read without a call per item: that halves the cost.
        if type(item) is dict and "rank" not in item and "in_context" not in item:
            get = item.get
            chunk_id, score, text = get("chunk_id"), get("score"), get("text")
            content_hash = get("content_hash")
        elif type(item) is tuple and len(item) == 3:
            (chunk_id, score, text), content_hash = item, None
        else:
            chunk_id = score = text = content_hash = None
        if (
            type(score) is float
            and type(chunk_id) is str
            and -MAX_FLOAT32 <= score <= MAX_FLOAT32
            and 0 < len(chunk_id) <= MAX_ID_CHARS
        ):
            if text is None and type(content_hash) is str and len(content_hash) == _HASH_CHARS:
                hashes.append(content_hash)
                found.append(
                    {
                        "chunk_id": chunk_id,
                        "rank": position,
                        "score": score,
                        "content_hash": content_hash,
                    }
                )
                continue
            if send_text and type(text) is str and 0 < len(text) <= MAX_TEXT_CHARS:
                found.append({"chunk_id": chunk_id, "rank": position, "score": score, "text": text})
                continue
        hit = read_hit(item, position)
        ranks_given |= hit[5] is not None
        found.append(_fields(hit, position, send_text))
    if len(found) > MAX_CANDIDATES:
        raise invalid("candidates", f"{len(found)} are too many; send the top {MAX_CANDIDATES}")
    if ranks_given and len({fields["rank"] for fields in found}) < len(found):
        raise invalid("rank", "ranks repeat; give 1, 2, 3 … once each, or none at all")
    _check_hashes(hashes)
    return found


def mark_used(found: Iterable[Fields], used: Collection[str]) -> None:
    """Set `in_context` where the chunk id is one of `used`."""
    if used:
        for fields in found:
            if fields["chunk_id"] in used:
                fields["in_context"] = True


def checked_text(field: str, value: object, *, of: str = "") -> str:
    """A text within the bounds of the schema.

    Raises:
        InvalidEventError: it is empty, too long or not a str.
    """
    if isinstance(value, str) and 0 < len(value) <= MAX_TEXT_CHARS:
        return value
    shown = f"{len(value)} characters" if isinstance(value, str) else type(value).__name__
    raise invalid(
        field,
        f"a str of 1 to {MAX_TEXT_CHARS} characters is needed{of and ' for ' + of}, not {shown}",
    )


def _fields(hit: RawHit, position: int, send_text: bool) -> Fields:
    chunk_id, score, text, content_hash, in_context, rank = hit
    if not isinstance(chunk_id, str) or not 0 < len(chunk_id) <= MAX_ID_CHARS:
        chunk_id = checked_id(chunk_id, position)
    if type(score) is not float:
        score = _score(score, position)
    if not -MAX_FLOAT32 <= score <= MAX_FLOAT32:
        raise invalid("score", f"candidate {position} ({chunk_id!r}) has score {score}")
    if rank is None:
        rank = position
    elif type(rank) is not int or not 1 <= rank <= MAX_RANK:
        raise invalid("rank", f"candidate {position} has rank {rank!r}; 1 is the top")
    fields: Fields = {"chunk_id": chunk_id, "rank": rank, "score": score}
    if in_context:
        fields["in_context"] = True
    if text:
        text = checked_text("text", text, of=f"candidate {position}")
        # With the text on board the reader derives the hash: hashing costs the service nothing.
        if send_text:
            fields["text"] = text
        else:
            fields["content_hash"] = identity.content_hash(text)
    else:
        fields["content_hash"] = _checked_hash(
            content_hash, of=f"candidate {position} ({chunk_id!r})"
        )
    return fields


def _check_hashes(hashes: list[str]) -> None:
    """All at once: one look at 640 digits is cheaper than 20 looks at 32."""
    joined = "".join(hashes)
    try:
        good = bytes.fromhex(joined).hex() == joined
    except ValueError:
        good = False
    if not good:
        for value in hashes:
            _checked_hash(value, of="a candidate without text")


def _checked_hash(value: object, *, of: str) -> str:
    if isinstance(value, str) and len(value) == _HASH_CHARS and not value.strip(_HEX_DIGITS):
        return value
    raise invalid(
        "content_hash",
        f"{of} has content_hash {value!r:.80}; give the text, or "
        "ragwheel.schemas.identity.content_hash of it",
    )


def _score(value: Any, position: int) -> float:
    if value is None:
        return 0.0
    try:
        return float(value)
    except (TypeError, ValueError):
        raise invalid("score", f"candidate {position} has score {str(value)[:80]!r}") from None
