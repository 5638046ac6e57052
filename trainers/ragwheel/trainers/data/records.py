"""What the trainer reads: plain values, one per row that matters. All times are UTC."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from ragwheel.schemas.events import LabelSource, Role

_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class SampledQuery:
    """A query that the sampler drew, whatever was graded of it; one per query hash.

    Attributes:
        query_id: of one of its sampled searches; the newest.
        segment, ts, stratum: of that search.
        inclusion_probability: of the distinct query: that at least one of its searches is drawn,
            1 - Π(1 - p) over all of them, those that were not drawn included (Horvitz and Thompson
            1952 ask for the unit's own probability; searches are drawn independently by their id).
        searches: how often it was searched, distinct query ids.
        shown: hashes of all chunks that were logged for it, sorted.
        first_ts: of its first search.
    """

    query_hash: str
    query: str
    query_id: str
    segment: str
    ts: datetime
    stratum: str
    inclusion_probability: float
    searches: int
    shown: tuple[str, ...]
    first_ts: datetime


@dataclass(frozen=True, slots=True)
class Grade:
    """One graded row: never a failure, which has none. A pair may have many.

    Attributes:
        role: `decoy` and `second` grades measure the grader; neither is evidence of a first look.
    """

    query_hash: str
    chunk_hash: str
    grade: int
    role: Role
    grader_id: str
    rubric_version: str
    source: LabelSource
    graded_at: datetime


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
    rubric_version: str = ""
    graded_at: datetime = _LONG_AGO


@dataclass(frozen=True, slots=True)
class LoggedRanking:
    """What one stage of production last returned for a query, best first; possibly nothing.

    Attributes:
        scores: as production had them, aligned with `chunk_hashes`.
        model_id: which model encoded the query, as the server said; empty: nobody said.
    """

    query_hash: str
    segment: str
    stage: str
    index: str
    index_version: str
    embedding_model: str
    chunk_hashes: tuple[str, ...]
    scores: tuple[float, ...]
    ts: datetime
    model_id: str = ""


@dataclass(frozen=True, slots=True)
class GateLook:
    """A verdict that looked at held-out queries, and thereby used them up a little.

    Attributes:
        event_id: of the verdict's event.
        action: what it came to: promoted, shadow or refused.
    """

    event_id: str
    action: str
    ts: datetime
    query_hashes: frozenset[str]


@dataclass(frozen=True, slots=True)
class DeclaredIndex:
    """What a service says of a build of an index; empty or 0 where it does not say."""

    embedding_model: str
    document_fingerprint: str
    prompt: str
    max_seq_length: int


@dataclass(frozen=True, slots=True)
class IndexSlice:
    """The rows of a corpus that are one index.

    Attributes:
        version: the build; empty where services send no chunks, and the index is what was
            retrieved from it.
        start, stop: rows, as in a Python slice.
        complete: as many chunks landed as the service declared. Otherwise nobody knows.
        declared: None where nothing was said of this build.
    """

    name: str
    version: str
    start: int
    stop: int
    complete: bool = False
    declared: DeclaredIndex | None = None


_NO_INDEX = IndexSlice("", "", 0, 0)


@dataclass(frozen=True, slots=True)
class Corpus:
    """Every index, one after the other: a query is ranked over the rows of its own.

    Attributes:
        chunk_hashes: content hashes; sorted within an index, where each stands once.
        texts: aligned with them.
        indexes: cover all rows in their order; left out, all rows are one index.
        index_of_segment: name of the index that a segment searches.
    """

    chunk_hashes: tuple[str, ...]
    texts: tuple[str, ...]
    indexes: tuple[IndexSlice, ...] = ()
    index_of_segment: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.indexes and self.chunk_hashes:
            object.__setattr__(self, "indexes", (IndexSlice("", "", 0, len(self.chunk_hashes)),))

    def slice_of(self, segment: str) -> IndexSlice:
        """The index of a segment.

        Of a segment that nobody saw searching it is the only index there is; where there are
        several it has no rows.
        """
        name = self.index_of_segment.get(segment)
        if name is None and len(self.indexes) == 1:
            return self.indexes[0]
        return next((each for each in self.indexes if each.name == name), _NO_INDEX)

    def row_of(self, segment: str, chunk_hash: str) -> int | None:
        """Row of a chunk in the index of a segment; None where it is not in it."""
        of = self.slice_of(segment)
        row = bisect_left(self.chunk_hashes, chunk_hash, of.start, of.stop)
        return row if row < of.stop and self.chunk_hashes[row] == chunk_hash else None
