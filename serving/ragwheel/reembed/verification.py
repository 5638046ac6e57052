"""Is the new build right, and no worse? Counts, searches that must succeed, and judged queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from ragwheel.measuring.intervals import Interval, intervals
from ragwheel.models.canaries import TEXTS
from ragwheel.models.encoder import Encoder
from ragwheel.reembed.indexes.contracts import Index, IndexBuild, SpaceVectors
from ragwheel.reembed.shards import ChunkPair, Totals
from ragwheel.reembed.states import Reembed
from ragwheel.reembed.store import JudgedQuery

DEPTH = 10
#: Chunks that must find themselves, and how many of them an approximate index may miss.
_SAMPLED, _LEAST_FOUND = 64, 0.95
#: Judged queries at most, and at least for recall to say anything.
_QUERIES, LEAST_QUERIES = 1_000, 30
_SEED = 17


class VerifyLog(Protocol):
    """What verification asks of ClickHouse (`store.ReembedStore`, which says what each does)."""

    def embedded_sample(self, reembed: Reembed, count: int, seed: int) -> list[ChunkPair]: ...
    def texts(self, hashes: Sequence[str]) -> dict[str, str]: ...
    def hashes_of(self, reembed: Reembed, ids: Sequence[str]) -> dict[str, str]: ...
    def judged(self, reembed: Reembed, most: int) -> list[JudgedQuery]: ...


@dataclass(frozen=True, slots=True)
class BuildEncoders:
    """Who encodes what.

    Attributes:
        document, query: of the new build.
        old_query: of the build that is replaced; None: nobody here can, and `why_not` says why.
    """

    document: Encoder
    query: Encoder
    old_query: Encoder | None = None
    why_not: str = ""


@dataclass(frozen=True, slots=True)
class Recall:
    """Recall@10 on judged held-out queries, of both builds, and the paired difference."""

    queries: int
    new: Interval
    old: Interval
    difference: Interval


@dataclass(frozen=True, slots=True)
class Findings:
    """What a verification found.

    Attributes:
        stored, old_stored: chunks in the new and in the old build; the latter None without one.
        canaries: fixed texts that the build answered with as many chunks as it should.
        sampled, found_itself: chunks that were searched by their own vector, and that were found.
        recall: None: it could not be measured.
        tolerance: by how much recall may be worse.
        problems: why searches must not be led there; none: they may.
    """

    totals: Totals
    stored: int
    old_stored: int | None
    canaries: int
    sampled: int
    found_itself: int
    recall: Recall | None
    tolerance: float
    problems: Sequence[str] = field(default_factory=tuple)


def verify_build(
    asked: VerifyLog,
    index: Index,
    reembed: Reembed,
    totals: Totals,
    sides: BuildEncoders,
    tolerance: float,
) -> Findings:
    """Look at the new build beside the old one; changes nothing.

    Raises:
        IndexRefusedError: the vectors of one of the models do not belong to its build.
    """
    canaries = SpaceVectors(sides.document.fingerprint, sides.query.encode(TEXTS, "query"))
    found = index.verify(reembed.build, canaries, DEPTH)
    full = sum(len(hits) == min(DEPTH, found.count) for hits in found.hits)
    old = index.verify(reembed.old_build, None) if reembed.old_build else None
    sampled, itself = _search_for_themselves(asked, index, reembed, sides.document)
    recall, why = _recall(asked, index, reembed, sides)
    problems = [
        *count_problems(totals, found.count, old.count if old else None),
        *search_problems(full, sampled, itself),
        *recall_problems(recall, why, tolerance),
    ]
    return Findings(
        totals, found.count, old.count if old else None, full, sampled, itself, recall, tolerance,
        problems,
    )  # fmt: skip


def count_problems(totals: Totals, stored: int, old_stored: int | None) -> list[str]:
    """What counts say against a build."""
    problems = []
    if totals.unaccounted or totals.waiting:
        problems.append(
            f"of {totals.corpus:,} chunks {totals.unaccounted + totals.waiting:,} are not "
            "accounted for: `ragwheel reembed run` goes on"
        )
    if stored != totals.embedded:
        problems.append(
            f"the new build holds {stored:,} chunks, and {totals.embedded:,} were embedded: "
            "somebody else writes to it, or the store lost some"
        )
    if totals.failed:
        problems.append(
            f"{sum(totals.failed.values()):,} chunks failed ({_worst(totals.failed)}): `ragwheel "
            "reembed run` tries them again"
        )
    if totals.skipped:
        problems.append(
            f"{sum(totals.skipped.values()):,} chunks were skipped ({_worst(totals.skipped)}): "
            "send them once more"
        )
    if old_stored is not None and old_stored > totals.corpus:
        problems.append(
            f"the build that is searched holds {old_stored:,} chunks, and ragwheel knows "
            f"{totals.corpus:,}: the others would be lost; send them as chunk events"
        )
    return problems


def search_problems(full: int, sampled: int, itself: int) -> list[str]:
    """What searches say against a build."""
    problems = []
    if full < len(TEXTS):
        problems.append(f"{len(TEXTS) - full} of {len(TEXTS)} canary searches came back short")
    if itself < _LEAST_FOUND * sampled:
        problems.append(
            f"only {itself} of {sampled} chunks are found by their own vector: the store holds "
            "others' vectors, or its index is too coarse"
        )
    return problems


def recall_problems(recall: Recall | None, why: str, tolerance: float) -> list[str]:
    """What judged queries say against a build."""
    if recall is None:
        return [f"recall was not measured: {why}"]
    if recall.difference.value < -tolerance:
        return [
            f"recall@{DEPTH} is {recall.new.value:.3f} and was {recall.old.value:.3f} on "
            f"{recall.queries} judged queries ({recall.difference.value:+.3f}, 95 % "
            f"{recall.difference.low:+.3f} to {recall.difference.high:+.3f}): {tolerance:g} may be "
            "lost"
        ]
    return []


def _worst(reasons: Mapping[str, int]) -> str:
    return max(reasons, key=lambda reason: (reasons[reason], reason))


def _search_for_themselves(
    asked: VerifyLog, index: Index, reembed: Reembed, document: Encoder
) -> tuple[int, int]:
    """How many sampled chunks were searched by their text, and how many found it."""
    sample = asked.embedded_sample(reembed, _SAMPLED, _SEED)
    texts = asked.texts([chunk_hash for _, chunk_hash in sample])
    sample = [pair for pair in sample if pair[1] in texts]
    if not sample:
        return 0, 0
    vectors = document.encode([texts[chunk_hash] for _, chunk_hash in sample], "document")
    found = index.verify(reembed.build, SpaceVectors(document.fingerprint, vectors), DEPTH)
    # Another id with the same text is as good.
    hashes = asked.hashes_of(reembed, [each for hits in found.hits for each in hits])
    itself = sum(
        any(hashes.get(each) == chunk_hash for each in hits)
        for (_, chunk_hash), hits in zip(sample, found.hits, strict=True)
    )
    return len(sample), itself


def _recall(
    asked: VerifyLog, index: Index, reembed: Reembed, sides: BuildEncoders
) -> tuple[Recall | None, str]:
    if reembed.old_build is None:
        return None, "there is no old build to compare with"
    if sides.old_query is None:
        return None, sides.why_not
    judged = asked.judged(reembed, _QUERIES)
    if len(judged) < LEAST_QUERIES:
        return None, (
            f"{len(judged)} judged held-out queries have a relevant chunk in this index, "
            f"{LEAST_QUERIES} are needed: a gate judges them (`ragwheel train`)"
        )
    scores = [
        _scores(asked, index, reembed, build, encoder, fingerprint, judged)
        for build, encoder, fingerprint in (
            (reembed.build, sides.query, sides.document.fingerprint),
            (reembed.old_build, sides.old_query, reembed.from_fingerprint),
        )
    ]
    columns = np.stack([*scores, scores[0] - scores[1]], axis=1)
    new, old, difference = intervals(columns, _SEED)
    return Recall(len(judged), new, old, difference), ""


def _scores(
    asked: VerifyLog, index: Index, reembed: Reembed, build: IndexBuild, encoder: Encoder,
    fingerprint: str, judged: Sequence[JudgedQuery],
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:  # fmt: skip
    """Recall@10 of each query in one build."""
    vectors = encoder.encode([each.query for each in judged], "query")
    found = index.verify(build, SpaceVectors(fingerprint, vectors), DEPTH)
    hashes = asked.hashes_of(reembed, [each for hits in found.hits for each in hits])
    return np.array(
        [
            len({hashes.get(each) for each in hits} & query.relevant) / len(query.relevant)
            for query, hits in zip(judged, found.hits, strict=True)
        ],
        np.float64,
    )
