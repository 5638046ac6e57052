"""What a snapshot is made of, in counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass


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

    def lines(self) -> list[str]:
        """The card for a terminal."""
        return [
            f"queries    {', '.join(f'{part} {n:,}' for part, n in self.queries.items())}",
            f"examples   {', '.join(f'{part} {n:,}' for part, n in self.examples.items())}; "
            f"{self.triplets:,} triplets, {self.dropped_positives:,} positives dropped",
        ]
