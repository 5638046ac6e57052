"""Which ranks of right chunks are shown. Pure."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Sequence

from ragwheel.trainers.proof.evaluation import RankShift


def jittered(shifts: Sequence[RankShift]) -> list[tuple[float, float, RankShift]]:
    """(rank before, rank after, shift), moved by less than the step from rank 1 to 2.

    Equal ranks would hide each other.
    """
    noise = random.Random(0)

    def moved(rank: int) -> float:
        return max(1.0, rank * noise.uniform(0.9, 1.1))

    return [(moved(shift.before), moved(shift.after), shift) for shift in shifts]


def pick_examples(shifts: Sequence[RankShift], gains: int = 8, losses: int = 2) -> list[RankShift]:
    """Gains that a user would notice, and the worst losses, so that nobody is fooled.

    A gain counts when the chunk enters the first five from a place that people do not scroll to;
    those nearest to "was at 20, is at 5 or better" come first, spread over segments.
    """

    def appeal(shift: RankShift) -> tuple[float, str]:
        return abs(math.log(shift.before / 20)) + 0.1 * shift.after, shift.chunk_hash

    noticed = sorted((s for s in shifts if s.before > 10 and s.after <= 5), key=appeal)
    seen: Counter[str] = Counter()

    def turn(shift: RankShift) -> int:
        seen[shift.segment] += 1
        return seen[shift.segment]

    # The best of every segment, then the second of every segment, and so on.
    chosen = sorted(noticed, key=turn)[:gains]
    lost = sorted(
        (s for s in shifts if s.before <= 10 and s.after > 10),
        key=lambda s: (s.before / s.after, s.chunk_hash),
    )
    return sorted(chosen, key=lambda s: -s.before / s.after) + lost[:losses]


def clipped(text: str, limit: int) -> str:
    """`text`, or its beginning with an ellipsis; white space collapsed."""
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"
