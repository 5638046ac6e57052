"""The data of one training cycle, and whether what is held out can be seen in it. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ragwheel.measuring.rank_metrics import RELEVANT_GRADE
from ragwheel.schemas import identity
from ragwheel.trainers.data.card import DataCard
from ragwheel.trainers.data.examples import TrainingExample, examples_of
from ragwheel.trainers.data.records import Grade, SampledQuery
from ragwheel.trainers.data.split import Part, part_of


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
    pairs: Sequence[Grade],
    *,
    gate_share: float,
    known_chunks: Iterable[str],
    judged: Sequence[Grade] = (),
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
    train, dropped = examples_of(parts["train"], grades, known, answers)
    dev, _ = examples_of(parts["dev"], grades, known, frozenset())
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


def leaks(snapshot: Snapshot, pairs: Iterable[Grade]) -> list[str]:
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
