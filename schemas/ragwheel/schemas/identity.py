"""Deterministic identities: what makes two rows the same row.

Everything is BLAKE2b (RFC 7693) over length-prefixed fields, so that no concatenation of
neighbouring fields can collide. Digests are 128 bits in hexadecimal (32 characters) unless said.
Non-cryptographic hashes are deliberately absent: FNV-1a on sequential ids is up to 170 times
over-dispersed, which would bias every sample (docs/decisions/0004-sampling-hash.md).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from hashlib import blake2b

import orjson

#: Randomness and thresholds of the OpenTelemetry consistent-probability rule are 56 bits wide.
RANDOMNESS_BITS = 56


def digest(kind: str, *fields: str | bytes) -> str:
    """128-bit BLAKE2b of `fields`; equal fields of two kinds differ."""
    hasher = blake2b(digest_size=16, person=kind.encode()[:16])
    for field in fields:
        raw = field if isinstance(field, bytes) else field.encode("utf-8", "surrogatepass")
        hasher.update(len(raw).to_bytes(8, "big"))
        hasher.update(raw)
    return hasher.hexdigest()


def canonical_query(text: str) -> str:
    """The form in which two queries are "the same": NFKC, case-folded, white space collapsed."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def query_hash(text: str) -> str:
    """Identity of a query text; equal for all spellings with one `canonical_query`."""
    return digest("query", canonical_query(text))


def content_hash(text: str) -> str:
    """Identity of a chunk: its exact text. Any changed byte is another chunk."""
    return digest("chunk", text)


def grader_id(model: str, parameters: Mapping[str, object], prompt_hash: str) -> str:
    """Identity of a grader: a changed model, parameter or prompt is another grader.

    The readable model name leads, so that tables and dashboards can be read without a lookup.
    """
    canonical = orjson.dumps(dict(parameters), option=orjson.OPT_SORT_KEYS)
    return f"{model}@{digest('grader', model, canonical, prompt_hash)[:12]}"


def label_id(query_hash: str, chunk_hash: str, rubric_version: str, grader_id: str) -> str:
    """Identity of one judgment: who judged which pair by which rubric."""
    return digest("label", query_hash, chunk_hash, rubric_version, grader_id)


def job_id(event_id: str, role: str) -> str:
    """Identity of a grading job: one per retrieval event and grader role, the same on replay."""
    return digest("job", event_id, role)


def dead_letter_id(topic: str, partition: int, offset: int) -> str:
    """Identity of a dead letter: the position of the message it preserves."""
    return digest("deadletter", topic, str(partition), str(offset))


def randomness_56(query_id: str) -> int:
    """56 uniform bits that belong to a query id, the same in every process and on replay.

    Used with the OpenTelemetry consistent-probability rule (keep when randomness >= threshold;
    specification/trace/tracestate-probability-sampling.md), hence nested across rates.
    """
    raw = query_id.encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(raw, digest_size=7, person=b"sampling").digest(), "big")
