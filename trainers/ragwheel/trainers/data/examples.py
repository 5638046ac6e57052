"""From grades to a training set: positives, hard negatives, and what must not be learnt. Pure.

- Positive: grade 2 or 3. Hard negative: grade 0, hence retrieved and found irrelevant.
- Grade 1, failed and ungraded candidates are neither: they are *ignored*, taken out of the loss of
  their query. Counting them as negatives would teach the ranker the holes of the labeling.
- Chunks that were never logged for a query are background: any single one is almost surely
  irrelevant, and they enter the loss with ordinary weight.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

from ragwheel.measuring.rank_metrics import RELEVANT_GRADE
from ragwheel.schemas import identity
from ragwheel.trainers.data.records import GradedPair, SampledQuery
from ragwheel.trainers.data.split import Part, part_of


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


@dataclass(frozen=True, slots=True)
class DataCard:
    """Counts that say what a snapshot is made of.

    Attributes:
        queries: per part, all sampled queries.
        examples: per part, queries with a positive.
        grades: graded pairs per grade.
        ungraded_pairs: pairs that were shown and have no grade.
        dropped_positives: training positives left out because a held-out query has the same chunk
            as a positive.
        graders: who made the labels.
        segments: training examples per segment.
    """

    queries: Mapping[str, int]
    examples: Mapping[str, int]
    grades: Mapping[int, int]
    ungraded_pairs: int
    triplets: int
    dropped_positives: int
    graders: tuple[str, ...]
    segments: Mapping[str, int]

    def as_json(self) -> dict[str, object]:
        """JSON values; grades become text keys, as JSON wants."""
        grades = {str(grade): count for grade, count in self.grades.items()}
        return {**asdict(self), "grades": grades, "graders": list(self.graders)}


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The data of one training cycle.

    Attributes:
        snapshot_id: digest of everything below; equal data, equal id.
        train: examples to learn from.
        dev: examples that check a finished model; never learnt from.
        gate: held-out queries, all that were sampled and not only those with a known positive:
            keeping only the latter would hide what the incumbent never finds.
    """

    snapshot_id: str
    train: tuple[TrainingExample, ...]
    dev: tuple[TrainingExample, ...]
    gate: tuple[SampledQuery, ...]
    card: DataCard


def build_snapshot(
    queries: Sequence[SampledQuery],
    pairs: Sequence[GradedPair],
    *,
    gate_share: float,
    known_chunks: Iterable[str],
    judged: Sequence[GradedPair] = (),
) -> Snapshot:
    """Split the queries and turn their grades into examples.

    Args:
        pairs: at most one grade per (query, chunk) by the labeling graders; never the judge's.
        known_chunks: the corpus; chunks outside it (deleted since) are left out.
        judged: the judge's grades of earlier gates; they only keep answers of held-out queries
            out of the training set.
    """
    known = frozenset(known_chunks)
    grades: dict[str, dict[str, int]] = defaultdict(dict)
    for pair in pairs:
        if pair.chunk_hash in known:
            grades[pair.query_hash][pair.chunk_hash] = pair.grade
    parts: dict[Part, list[SampledQuery]] = {"train": [], "dev": [], "gate": []}
    for query in sorted(queries, key=lambda each: each.query_hash):
        parts[part_of(query.query_hash, gate_share)].append(query)
    held_out = {query.query_hash for query in (*parts["dev"], *parts["gate"])}
    answers = frozenset(
        pair.chunk_hash
        for pair in (*pairs, *judged)
        if pair.query_hash in held_out and pair.grade >= RELEVANT_GRADE
    )
    train, dropped = _examples(parts["train"], grades, known, answers)
    dev, _ = _examples(parts["dev"], grades, known, frozenset())
    graded = Counter(grade for by_chunk in grades.values() for grade in by_chunk.values())
    card = DataCard(
        queries={part: len(members) for part, members in parts.items()},
        examples={"train": len(train), "dev": len(dev)},
        grades=dict(sorted(graded.items())),
        ungraded_pairs=sum(
            chunk not in grades[query.query_hash] for query in queries for chunk in query.shown
        ),
        triplets=sum(len(each.positives) * len(each.negatives) for each in train),
        dropped_positives=dropped,
        graders=tuple(sorted({pair.grader_id for pair in pairs})),
        segments=dict(sorted(Counter(each.segment for each in train).items())),
    )
    snapshot_id = identity.digest(
        "snapshot",
        *(repr(each) for each in (*train, *dev)),
        *(each.query_hash for each in parts["gate"]),
    )
    return Snapshot(snapshot_id, train, dev, tuple(parts["gate"]), card)


def leaks(snapshot: Snapshot, pairs: Iterable[GradedPair]) -> list[str]:
    """What of the held-out part can be seen in the training part; empty when all is well.

    Args:
        pairs: every grade there is, the judge's included.
    """
    held_out = {each.query_hash for each in snapshot.gate}
    held_out |= {each.query_hash for each in snapshot.dev}
    trained = {each.query_hash for each in snapshot.train}
    found = [f"query {query_hash} is trained and held out" for query_hash in trained & held_out]
    positives = {chunk for each in snapshot.train for chunk, _ in each.positives}
    found += [
        f"chunk {pair.chunk_hash} is a training positive and answers held-out {pair.query_hash}"
        for pair in pairs
        if pair.query_hash in held_out
        and pair.grade >= RELEVANT_GRADE
        and pair.chunk_hash in positives
    ]
    return sorted(found)


def _examples(
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
