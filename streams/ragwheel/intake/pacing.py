"""What intake knows of the day's money: the factor that sampling rates are multiplied with."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from ragwheel.backends.telemetry import Telemetry
from ragwheel.schemas import metrics
from ragwheel.schemas.budget import Claims
from ragwheel.schemas.errors import UnavailableError
from ragwheel.schemas.pace import DayPace

_LOG = logging.getLogger(__name__)


class ClaimsRead(Protocol):
    """The log of claims, read from its start; see `backends.spending_log`."""

    claims: Claims

    def catch_up(self) -> None:
        """Read to the end. Raises UnavailableError."""

    def read(self) -> None:
        """Read what is new, without waiting. Raises UnavailableError."""


@dataclass
class Pacing:
    """Follows the claims. While they cannot be read, what is known stays in force.

    Attributes:
        now: the wall clock, UTC.
    """

    log: ClaimsRead
    telemetry: Telemetry
    now: Callable[[], datetime]
    _readable: bool = field(default=True, init=False)

    def __post_init__(self) -> None:
        self._pace = DayPace(self.log.claims)

    def start(self) -> None:
        """Read all there is, so that the first search has the factor that others have."""
        self._follow(self.log.catch_up)

    def refresh(self) -> None:
        """Read what is new, and show it."""
        self._follow(self.log.read)

    def factor(self, at: datetime) -> float:
        """The factor for a search of that time."""
        return self._pace.factor(at, self.now())

    def _follow(self, read: Callable[[], None]) -> None:
        try:
            read()
        except UnavailableError as error:
            if self._readable:
                _LOG.warning("sampling keeps the pace that it knows: %s", error)
            self._readable = False
        else:
            self._readable = True
        self.telemetry.set(metrics.PACE_READABLE, self._readable)
        self.telemetry.set(metrics.SAMPLING_PACE, self.factor(self.now()))
