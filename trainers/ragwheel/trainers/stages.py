"""How the long stages of a cycle are told: what is done, and what is counted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class CycleStage(NamedTuple):
    """A stage that reports progress.

    Attributes:
        doing: what happens, as `training`.
        unit: one of what is counted, as `batch`.
    """

    doing: str
    unit: str


#: Name of a stage in `Parts.progress` → how it is told.
STAGES: Mapping[str, CycleStage] = {
    "embed": CycleStage("embedding", "token"),
    "train": CycleStage("training", "batch"),
    "judge": CycleStage("judging", "pair"),
}


def progress_text(stage: str, done: int, total: int) -> str:
    """`training: batch 10 of 39`."""
    told = STAGES[stage]
    return f"{told.doing}: {told.unit} {done:,} of {total:,}"
