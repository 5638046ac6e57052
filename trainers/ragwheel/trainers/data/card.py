"""What a snapshot is made of, in counts: enough to see why little was learnt, or too well."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import asdict, dataclass

from ragwheel.measuring.rank_metrics import RELEVANT_GRADE
from ragwheel.trainers.data.evidence import Evidence
from ragwheel.trainers.data.examples import TrainingExample
from ragwheel.trainers.data.records import SampledQuery
from ragwheel.trainers.data.split import Sides

#: A cluster that holds more of the queries than this is worth a word.
_LARGE_CLUSTER = 0.1
#: Lines of the text form for reasons and for segments; the whole has at most 15.
_REASONS, _SEGMENTS = 3, 3


@dataclass(frozen=True, slots=True)
class SegmentCounts:
    """A segment in a snapshot.

    Attributes:
        queries: all that were sampled; `examples` of them are trained on, `held_out` are the gate.
        positives: pairs that are learnt.
    """

    queries: int
    examples: int
    held_out: int
    positives: int


@dataclass(frozen=True, slots=True)
class DataCard:
    """Counts that say what a snapshot is made of.

    Attributes:
        queries: per part (`train`, `dev`, `gate`, `aside`), all sampled queries.
        examples: per part, queries with a positive.
        clusters: per part, clusters of near-duplicates.
        near_duplicates: queries that are near to an earlier one; those of them that are near to two
            sides are `aside`.
        largest_cluster: its queries.
        grades: pairs per grade, as it counts.
        sources: pairs per kind of grader.
        disputed: pairs whose looks disagree about being relevant.
        ungraded_pairs: pairs that were shown and have no grade that counts.
        triplets: (query, positive, negative) of the training examples.
        dropped: grades, pairs and queries that were left out: reason → how many.
        graders: who made the labels.
        segments: by name.
        endorsed: pairs that an answer cited or a user clicked, by what their grade says:
            `confirmed`, `disputed` or `ungraded`.
        noise: what is known of the graders' errors: segment, `*` for all → `false_positive_rate`,
            `true_positive_rate`, `false_share` of the positives, each where it was estimated.
    """

    queries: Mapping[str, int]
    examples: Mapping[str, int]
    clusters: Mapping[str, int]
    near_duplicates: int
    largest_cluster: int
    grades: Mapping[int, int]
    sources: Mapping[str, int]
    disputed: int
    ungraded_pairs: int
    triplets: int
    dropped: Mapping[str, int]
    graders: tuple[str, ...]
    segments: Mapping[str, SegmentCounts]
    noise: Mapping[str, Mapping[str, float]]
    endorsed: Mapping[str, int]

    def as_json(self) -> dict[str, object]:
        """JSON values; grades become text keys, as JSON wants."""
        grades = {str(grade): count for grade, count in self.grades.items()}
        return {**asdict(self), "grades": grades, "graders": list(self.graders)}

    def lines(self) -> list[str]:
        """The card for a terminal, at most 15 lines."""
        total = max(1, sum(self.queries.values()))
        positives = sum(each.positives for each in self.segments.values())
        said = [
            f"queries    {sum(self.queries.values()):,}: {_counts(self.queries)}",
            f"clusters   {sum(self.clusters.values()):,}; {self.near_duplicates:,} queries are "
            f"near-duplicates, {self.queries.get('aside', 0):,} of two sides and used by neither",
            f"examples   {_counts(self.examples)}; {positives:,} positives, "
            f"{self.triplets:,} triplets",
            f"grades     {_counts(self.grades)}; {_counts(self.sources)}; "
            f"{self.disputed:,} disputed, {self.ungraded_pairs:,} pairs ungraded",
        ]
        if self.largest_cluster > _LARGE_CLUSTER * total:
            said.append(
                f"! one cluster holds {self.largest_cluster / total:.0%} of the queries: all of it "
                "is on one side"
            )
        if overall := self.noise.get("*"):
            rates = (f"{name.replace('_', ' ')} {rate:.2f}" for name, rate in overall.items())
            said.append(f"noise      {', '.join(rates)}")
        if any(self.endorsed.values()):
            said.append(f"cited      or clicked: {_counts(self.endorsed)} by a grade")
        said += _first("dropped", self.dropped, _REASONS)
        said += [
            f"{name:<10} {each.queries:,} queries, {each.examples:,} examples, "
            f"{each.held_out:,} held out, {each.positives:,} positives"
            for name, each in list(self.segments.items())[:_SEGMENTS]
        ]
        more = len(self.segments) - _SEGMENTS
        return said + ([f"… and {more:,} more segments"] if more > 0 else [])


def card_of(
    queries: Sequence[SampledQuery],
    sides: Sides,
    evidence: Sequence[Evidence],
    train: Sequence[TrainingExample],
    dev: Sequence[TrainingExample],
    *,
    graders: tuple[str, ...],
    dropped: Mapping[str, int],
    noise: Mapping[str, Mapping[str, float]],
    endorsed: Set[tuple[str, str]],
) -> DataCard:
    """Count what `build_snapshot` made."""
    hashes = [each.query_hash for each in queries]
    clusters = Counter(map(sides.leader, hashes))
    leaders = {(sides.leader(each), sides.part(each)) for each in hashes}
    graded = {(each.query_hash, each.chunk_hash) for each in evidence}
    return DataCard(
        queries=_in_order(Counter(map(sides.part, hashes))),
        examples={"train": len(train), "dev": len(dev)},
        clusters=_in_order(Counter(part for _, part in leaders)),
        near_duplicates=sum(sides.leader(each) != each for each in hashes),
        largest_cluster=max(clusters.values(), default=0),
        grades=dict(sorted(Counter(each.grade for each in evidence).items())),
        sources=dict(sorted(Counter(each.source for each in evidence).items())),
        disputed=sum(each.agreement < 1 for each in evidence),
        ungraded_pairs=sum(
            (q.query_hash, chunk) not in graded for q in queries for chunk in q.shown
        ),
        triplets=sum(len(each.positives) * len(each.negatives) for each in train),
        dropped=dict(sorted(dropped.items(), key=lambda item: (-item[1], item[0]))),
        graders=graders,
        segments=_segments(queries, sides, train),
        noise={name: dict(noise[name]) for name in sorted(noise)},
        endorsed=_endorsed(endorsed, evidence),
    )


def _endorsed(endorsed: Set[tuple[str, str]], evidence: Sequence[Evidence]) -> dict[str, int]:
    grade_of = {(each.query_hash, each.chunk_hash): each.grade for each in evidence}
    said = Counter(
        "confirmed" if grade_of[pair] >= RELEVANT_GRADE else "disputed"
        for pair in endorsed & grade_of.keys()
    )
    return {
        "confirmed": said["confirmed"], "disputed": said["disputed"],
        "ungraded": len(endorsed - grade_of.keys()),
    }  # fmt: skip


def _segments(
    queries: Sequence[SampledQuery], sides: Sides, train: Sequence[TrainingExample]
) -> dict[str, SegmentCounts]:
    asked = Counter(each.segment for each in queries)
    held = Counter(each.segment for each in queries if sides.part(each.query_hash) == "gate")
    examples = Counter(each.segment for each in train)
    positives = Counter[str]()
    for each in train:
        positives[each.segment] += sum(p.grade >= RELEVANT_GRADE for p in each.positives)
    return {
        name: SegmentCounts(count, examples[name], held[name], positives[name])
        for name, count in sorted(asked.items(), key=lambda item: (-item[1], item[0]))
    }


def _in_order(counts: Counter[str]) -> dict[str, int]:
    return {part: counts[part] for part in ("train", "dev", "gate", "aside")}


def _counts(counts: Mapping[str, int] | Mapping[int, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items()) or "none"


def _first(title: str, counts: Mapping[str, int], most: int) -> list[str]:
    lines = [f"{title:<10} {count:,} {reason}" for reason, count in list(counts.items())[:most]]
    if len(counts) > most:
        rest = sum(list(counts.values())[most:])
        lines.append(f"{title:<10} {rest:,} for {len(counts) - most} other reasons")
    return lines
