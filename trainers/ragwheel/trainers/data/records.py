"""What the trainer reads: plain values, one per row that matters."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field
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
class LoggedRanking:
    """What one stage of the service returned for a query, best first: the newest of each."""

    query_hash: str
    segment: str
    stage: str
    index: str
    index_version: str
    embedding_model: str
    chunk_hashes: tuple[str, ...]
    scores: tuple[float, ...]
    ts: datetime


@dataclass(frozen=True, slots=True)
class IndexSlice:
    """One index within the corpus: rows `start` to `stop`.

    Attributes:
        declared: what the index says of itself; None if it said nothing.
    """

    name: str
    version: str
    start: int
    stop: int
    complete: bool = True
    declared: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True)
class Corpus:
    """All indexes: what systems rank. Rows are sorted by (index, hash).

    Attributes:
        chunk_hashes: content hashes, aligned with `texts`.
        index_version: newest version of the index; empty when services send only candidates, and
            the corpus is therefore everything that was ever retrieved.
        indexes: without any, the whole corpus is one.
    """

    chunk_hashes: tuple[str, ...]
    texts: tuple[str, ...]
    index_version: str = ""
    indexes: tuple[IndexSlice, ...] = ()
    index_of_segment: Mapping[str, str] = field(default_factory=dict)

    def slice_of(self, segment: str) -> IndexSlice | None:
        """The index that queries of the segment search; None when it has none."""
        if not self.indexes:
            return IndexSlice("", self.index_version, 0, len(self.chunk_hashes))
        name = self.index_of_segment.get(segment)
        return next((each for each in self.indexes if each.name == name), None)

    def row_of(self, segment: str, chunk_hash: str) -> int | None:
        """Row of a chunk in the index of the segment; None when it is not there."""
        span = self.slice_of(segment)
        if span is None:
            return None
        row = bisect_left(self.chunk_hashes, chunk_hash, span.start, span.stop)
        return row if row < span.stop and self.chunk_hashes[row] == chunk_hash else None
