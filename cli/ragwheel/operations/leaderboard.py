"""What the last gate measured of every system, by segment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ragwheel.backends.migrate import open_tables
from ragwheel.schemas.errors import TerminalError
from ragwheel.schemas.settings import TrainerSettings
from ragwheel.trainers.data.store import WheelReader
from ragwheel.trainers.proof.evaluation import Figure


class NothingMeasuredError(TerminalError):
    """There is no figure to show; the message says what would make one."""


@dataclass(frozen=True, slots=True)
class Leaderboard:
    """Figures of the last gate: systems, and differences of each to the incumbent (`delta…`).

    Recall is pooled: relative to what the systems of that gate found together, so figures of two
    gates do not compare.
    """

    figures: Sequence[Figure]


def read_leaderboard(settings: TrainerSettings, segment: str | None) -> Leaderboard:
    """Read it from ClickHouse.

    Raises:
        NothingMeasuredError: no gate was judged yet, or not in that segment.
        ConfigError, UnavailableError: ClickHouse cannot be used.
    """
    client = open_tables(settings)
    try:
        figures = WheelReader(client).last_figures()
    finally:
        client.close()
    return select(figures, segment)


def select(figures: Sequence[Figure], segment: str | None) -> Leaderboard:
    """The figures of one segment, or all.

    Raises:
        NothingMeasuredError: there is none.
    """
    if not figures:
        raise NothingMeasuredError("no gate was judged yet: `ragwheel train` runs a cycle")
    chosen = [each for each in figures if segment in (None, each.segment)]
    if not chosen:
        known = ", ".join(sorted({each.segment for each in figures}))
        raise NothingMeasuredError(f"no segment {segment!r} at the last gate (known: {known})")
    return Leaderboard(chosen)
