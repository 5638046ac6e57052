"""From grades to a training set: positives, hard negatives, and what must not be learnt. Pure.

- Positive: grade 2 or 3. Hard negative: grade 0, hence retrieved and found irrelevant.
- Grade 1, failed and ungraded candidates are neither: they are *ignored*, taken out of the loss of
  their query. Counting them as negatives would teach the ranker the holes of the labeling.
- Chunks that were never logged for a query are background: any single one is almost surely
  irrelevant, and they enter the loss with ordinary weight.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ragwheel.measuring.rank_metrics import RELEVANT_GRADE
from ragwheel.trainers.data.records import SampledQuery


@dataclass(frozen=True, slots=True)
class TrainingExample:
    """One query with everything that is known about its chunks; hashes are sorted.

    Attributes:
        positives: (chunk hash, grade) pairs of grade 2 and 3.
        negatives: chunks of grade 0.
        ignored: chunks that were shown and have grade 1 or none.
    """

    query_hash: str
    query: str
    segment: str
    positives: tuple[tuple[str, int], ...]
    negatives: tuple[str, ...]
    ignored: tuple[str, ...]


def examples_of(
    queries: Sequence[SampledQuery],
    grades: Mapping[str, Mapping[str, int]],
    known: frozenset[str],
    forbidden: frozenset[str],
) -> tuple[tuple[TrainingExample, ...], int]:
    """Examples of queries with a positive, and how many positives were forbidden."""
    examples = []
    dropped = 0
    for query in queries:
        by_chunk = grades[query.query_hash]
        relevant = {chunk: grade for chunk, grade in by_chunk.items() if grade >= RELEVANT_GRADE}
        positives = tuple(sorted(pair for pair in relevant.items() if pair[0] not in forbidden))
        dropped += len(relevant) - len(positives)
        if not positives:
            continue
        negatives = tuple(sorted(chunk for chunk, grade in by_chunk.items() if grade == 0))
        decided = {*negatives, *(chunk for chunk, _ in positives)}
        shown = (set(query.shown) & known) | set(by_chunk)
        ignored = tuple(sorted(shown - decided))
        example = TrainingExample(
            query.query_hash, query.query, query.segment, positives, negatives, ignored
        )
        examples.append(example)
    return tuple(examples), dropped
