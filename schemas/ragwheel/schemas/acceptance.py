"""What intake takes of valid records: one rule for whoever lands, emits or replays. Pure.

A message whose header `BACKFILL_HEADER` is set, to whatever value, may be of any age: somebody
means it. Retention counts from landing, so it stays as long as an event of today.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

from ragwheel.schemas import wire
from ragwheel.schemas.errors import InvalidEventError
from ragwheel.schemas.events import Record
from ragwheel.schemas.settings import AcceptanceSettings
from ragwheel.schemas.tables import Rows, rows_of
from ragwheel.schemas.topics import Position

BACKFILL_HEADER = "ragwheel.backfill"


@dataclass(frozen=True, slots=True)
class Times:
    """How old an event may be, and how far ahead of our clock."""

    max_age: timedelta
    max_ahead: timedelta

    @classmethod
    def of(cls, settings: AcceptanceSettings) -> Self:
        """As the settings say it."""
        return cls(
            timedelta(days=settings.max_event_age_days),
            timedelta(seconds=settings.max_event_ahead_s),
        )


def is_backfill(headers: Iterable[tuple[str, object]]) -> bool:
    """Whether a message is marked as one."""
    return any(name == BACKFILL_HEADER for name, _ in headers)


def accepted_rows(
    record: Record, at: Position, times: Times, now: datetime, *, backfill: bool = False
) -> Rows:
    """The rows that a record becomes at its position.

    Raises:
        InvalidEventError: intake dead-letters it, with this reason.
    """
    wire.check_time(record, now, None if backfill else times.max_age, times.max_ahead)
    try:
        return iter(tuple(rows_of(record, at)))
    except (ValueError, TypeError, ArithmeticError, RecursionError) as error:
        # Valid by the model and yet without rows: unknown fields nested too deep to write, say.
        raise InvalidEventError("processing_failed", f"{type(error).__name__}: {error}") from None
