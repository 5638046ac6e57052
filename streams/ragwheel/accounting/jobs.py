"""Has every acknowledged grading job its labels? Asked in rounds, so that traffic never hides it.

At any moment some labels are on their way, so "acknowledged and not there" proves nothing by
itself. A round notes what the grader has acknowledged and how far the topics reach into which it
had to write *before* it did; once intake has landed those, every pair of those jobs must have a
label, and what has none is lost. Rounds go on under continuous traffic. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel

from ragwheel.accounting.accounts import Stretch
from ragwheel.schemas.topics import Partition


class Round(BaseModel):
    """Jobs up to `acknowledged` (partition → next offset) are due when `ends` have landed."""

    acknowledged: dict[int, int]
    ends: dict[str, int]


class JobsAccount(BaseModel):
    """What is known of one incarnation of the jobs' topic.

    Attributes:
        checked: per partition, the offset below which every job was looked at.
        open: (partition, offset) of jobs that were found without all their labels.
    """

    origin: str = ""
    checked: dict[int, int] = {}
    round: Round | None = None
    open: list[tuple[int, int]] = []

    def begin(self, acknowledged: Mapping[int, int], ends: Mapping[Partition, int]) -> None:
        """Open a round where there is none and something new was acknowledged.

        Args:
            acknowledged: read before `ends`.
            ends: of the topics of labels and dead letters.
        """
        if self.round is None and any(
            offset > self.checked.get(number, 0) for number, offset in acknowledged.items()
        ):
            self.round = Round(
                acknowledged=dict(acknowledged),
                ends={_name(place): end for place, end in ends.items()},
            )

    def due(
        self, landed: Mapping[Partition, int], jobs_landed: Mapping[int, int]
    ) -> dict[int, Stretch] | None:
        """Stretches of jobs to look at now, by partition; None while the round is not ripe.

        Args:
            landed: next offset of intake, of the topics of labels and dead letters.
            jobs_landed: the same of the jobs' topic.
        """
        if self.round is None:
            return None
        by_name = {_name(place): offset for place, offset in landed.items()}
        if any(by_name.get(name, 0) < end for name, end in self.round.ends.items()):
            return None
        asked = self.round.acknowledged
        if any(jobs_landed.get(number, 0) < offset for number, offset in asked.items()):
            return None
        since = {number: self.checked.get(number, 0) for number in asked}
        return {n: (since[n], offset) for n, offset in asked.items() if offset > since[n]}

    def close(self, missing: list[tuple[int, int]]) -> None:
        """The round was looked at; `missing` have no labels."""
        if self.round is not None:
            self.checked |= self.round.acknowledged
            self.round = None
        self.open = sorted({*self.open, *missing})


def _name(place: Partition) -> str:
    return f"{place.topic}/{place.number}"
