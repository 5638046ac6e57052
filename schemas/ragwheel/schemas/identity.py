"""Deterministic identities: what makes two things the same thing.

Names are SHA-256 (FIPS 180-4), cut to 128 bits, in hexadecimal (32 characters): every language has
it, so a service in Go or Java makes the same names (docs/wire.md; test vectors in
schemas/examples/identities.json). Fields are length-prefixed, so that no concatenation of
neighbouring ones can collide. What makes two *rows* one is said in `tables`, in these words.

Samples use BLAKE2b (RFC 7693), which only intake computes. Non-cryptographic hashes are absent:
FNV-1a on sequential ids is up to 170 times over-dispersed, which would bias every sample
(docs/decisions/0004-sampling-hash.md).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from hashlib import blake2b, sha256

import orjson

#: Randomness and thresholds of the OpenTelemetry consistent-probability rule are 56 bits wide.
RANDOMNESS_BITS = 56

#: How the names of models begin that are none: the local servers that stand in for an LLM.
STAND_IN = "stand-in-"

#: How the service of a grader's own retrievals begins: they are never graded, or the wheel would
#: feed itself.
GRADER_SERVICE = "ragwheel-grader"
#: Each call of a grader says in this header which service it is. Whoever records searches that a
#: call caused records that service with them.
SERVICE_HEADER = "X-Ragwheel-Service"

_CHARS = 32
#: Lines of models by one maker, by the letters that their names begin with.
_FAMILIES = {
    "o": "gpt", "chatgpt": "gpt", "mixtral": "mistral", "ministral": "mistral",
    "magistral": "mistral", "codestral": "mistral", "qwq": "qwen", "gemma": "gemini",
}  # fmt: skip


def digest(kind: str, *fields: str | bytes) -> str:
    """128 bits over `kind` and `fields`, each behind its length in 8 bytes, big-endian."""
    hasher = sha256()
    for field in (kind, *fields):
        raw = field if isinstance(field, bytes) else _utf8(field)
        hasher.update(len(raw).to_bytes(8, "big"))
        hasher.update(raw)
    return hasher.hexdigest()[:_CHARS]


def canonical_query(text: str) -> str:
    """The form in which two queries are "the same": NFKC, case-folded, white space collapsed."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def query_hash(text: str) -> str:
    """Identity of a query text; equal for all spellings with one `canonical_query`."""
    return _hash(canonical_query(text))


def content_hash(text: str) -> str:
    """Identity of a chunk: its exact text in UTF-8. Any changed byte is another chunk."""
    return _hash(text)


def grader_id(model: str, parameters: Mapping[str, object], prompt_hash: str) -> str:
    """Identity of a grader: a changed model, parameter or prompt is another grader.

    The readable model name leads, so that tables and dashboards can be read without a lookup.
    """
    canonical = orjson.dumps(dict(parameters), option=orjson.OPT_SORT_KEYS)
    return f"{model}@{digest('grader', model, canonical, prompt_hash)[:12]}"


def is_stand_in(model: str) -> bool:
    """Whether a model, or the grader that is named after it, only stands in for an LLM."""
    return model.startswith(STAND_IN)


def family_of(model: str) -> str:
    """The family that a model's name tells: siblings err alike, so none should judge another.

    The letters that its last path segment begins with, where one maker's lines count as one:
    `org/gpt-5-mini` and `o3` are both `gpt`. Empty where a name begins with no letter; a
    deployment under a name of its own tells nothing, or the wrong thing.
    """
    found = re.match("[a-z]*", model.rsplit("/", 1)[-1].casefold())
    letters = found.group() if found else ""
    return _FAMILIES.get(letters, letters)


def label_id(
    query_hash: str, chunk_hash: str, rubric_version: str, grader_id: str, role: str
) -> str:
    """Identity of one judgment: who judged which pair by which rubric, and to which end.

    The role belongs to it: a model that judged yesterday and labels today makes two labels, of
    which neither may hide the other from its readers.
    """
    return digest("label", query_hash, chunk_hash, rubric_version, grader_id, role)


def job_id(event_id: str, role: str) -> str:
    """Identity of a grading job: one per retrieval event and grader role, the same on replay."""
    return digest("job", event_id, role)


def dead_letter_id(topic: str, partition: int, offset: int, timestamp_ms: int) -> str:
    """Identity of a dead letter: the position of the message it preserves, in this broker's time.

    A topic that was made again repeats offsets; its messages have other timestamps (milliseconds
    since 1970, as the broker has them), without which a new letter would hide an old one.
    """
    return digest("deadletter", topic, str(partition), str(offset), str(timestamp_ms))


def randomness_56(query_id: str) -> int:
    """56 uniform bits that belong to a query id, the same in every process and on replay.

    Used with the OpenTelemetry consistent-probability rule (keep when randomness >= threshold;
    specification/trace/tracestate-probability-sampling.md), hence nested across rates.
    """
    raw = blake2b(_utf8(query_id), digest_size=7, person=b"sampling").digest()
    return int.from_bytes(raw, "big")


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _hash(text: str) -> str:
    return sha256(_utf8(text)).hexdigest()[:_CHARS]
