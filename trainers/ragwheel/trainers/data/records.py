"""What the trainer reads: plain values, one per row that matters."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class SampledQuery:
    """A query that the sampler drew, whatever was graded of it; one per query hash.

    Attributes:
        query_id: of one of its searches; the newest.
        ts: time of that search, UTC.
    """

    query_hash: str
    query: str
    query_id: str
    segment: str
    ts: datetime
    stratum: str
    inclusion_probability: float
    shown: tuple[str, ...]
    """Hashes of all chunks that were logged for it, sorted."""


@dataclass(frozen=True, slots=True)
class GradedPair:
    """One grade: never a failure, which has none."""

    query_hash: str
    chunk_hash: str
    grade: int
    grader_id: str


@dataclass(frozen=True, slots=True)
class Judgment:
    """What became of one pair that was sent to the judge.

    Attributes:
        grade: None when the status is not `graded`.
    """

    query_hash: str
    chunk_hash: str
    status: str
    grade: int | None
    grader_id: str


@dataclass(frozen=True, slots=True)
class Corpus:
    """The whole index: what both systems rank. Sorted by hash, each text once.

    Attributes:
        chunk_hashes: content hashes, aligned with `texts`.
        index_version: newest version of the index; empty when services send only candidates, and
            the corpus is therefore everything that was ever retrieved.
    """

    chunk_hashes: tuple[str, ...]
    texts: tuple[str, ...]
    index_version: str = ""
