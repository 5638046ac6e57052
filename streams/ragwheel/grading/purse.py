"""This worker's part of the day's money: claimed ahead in small slices, spent call by call.

A call reserves the most that it can cost before it is sent and settles what it did cost, so that
all workers together stay within the limit whatever they do at the same time. Who cannot pay waits:
for what another worker returns, for a limit that is raised, or for midnight UTC. The jobs stay in
Kafka meanwhile (docs/decisions/0040).
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import astuple, dataclass, field
from datetime import UTC, date, datetime
from math import ceil, isfinite
from typing import Literal, Protocol

from ragwheel.schemas.budget import NOTHING, Amount, Claims
from ragwheel.schemas.errors import UnavailableError
from ragwheel.schemas.events import SpendingEntry

_LOG = logging.getLogger(__name__)

#: Part of the limit that is claimed ahead: what a worker that dies takes with it.
_SLICE = 1 / 1_000
_RETRY_S = 1.0


class ClaimLog(Protocol):
    """The log that decides; see `backends.spending_log`. For one thread at a time."""

    claims: Claims

    def read(self, timeout_s: float = 0.0) -> None:
        """Bring `claims` up to date."""

    def decide(self, entry: SpendingEntry) -> bool:
        """Append an entry; whether it was granted. UnavailableError: give it again."""


@dataclass(frozen=True, slots=True)
class Reservation:
    """The most that a call can cost, set aside from the money of a day."""

    day: date
    amount: Amount


@dataclass(eq=False)
class Purse:
    """Money of one process, for one event loop.

    Attributes:
        limit: of all workers together, per UTC day.
        empty: nothing more can be claimed today, and somebody waits for it.
    """

    limit: Amount
    log: ClaimLog
    worker: str = field(default_factory=lambda: uuid.uuid4().hex)
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    empty: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self._day = self._today()
        self._left = NOTHING
        self._topping_up: asyncio.Task[None] | None = None
        self._closing = False

    async def reserve(self, amount: Amount) -> Reservation:
        """Set `amount` aside, which must fit the limit. Waits for as long as there is no money.

        Never raises, cancellation aside.
        """
        while not (taken := self._take(amount)):
            if self._topping_up is None:
                self._topping_up = asyncio.create_task(self._top_up(amount))
            # `wait`, because a caller that is stopped must not stop the claim of all others.
            await asyncio.wait({self._topping_up})
        return taken

    def settle(self, reservation: Reservation, spent: Amount) -> None:
        """What a call did cost; the rest of what it had reserved is there for the next."""
        if reservation.day == self._day:
            self._left += reservation.amount - spent

    def claimed_today(self) -> Amount:
        """What all workers have claimed of this day's money, as far as this one has read."""
        return self.log.claims.of(self._today()).claimed

    async def close(self) -> None:
        """Give back what is left. What calls under way had reserved counts as spent.

        Raises:
            UnavailableError: the broker does not answer; what is left counts as spent.
        """
        self._closing = True
        if self._topping_up is not None:
            await asyncio.wait({self._topping_up})
        left, self._left = self._left.most(NOTHING), NOTHING
        if left != NOTHING and self._day == self._today():
            await asyncio.to_thread(self.log.decide, self._entry("return", left))

    def _take(self, amount: Amount) -> Reservation | None:
        if self._day != self._today():
            self._day, self._left, self.empty = self._today(), NOTHING, False
        if not amount.fits(self._left):
            return None
        self._left -= amount
        self.empty = False
        return Reservation(self._day, amount)

    async def _top_up(self, wanted: Amount) -> None:
        """Claim a slice that lets `wanted` be reserved, or wait a while."""
        try:
            missing = (wanted - self._left).most(NOTHING)
            room = self.log.claims.room(self._day, self.limit)
            if not missing.fits(room):
                self.empty = True
                await self.sleep(_RETRY_S)
                await asyncio.to_thread(self.log.read)
                return
            claim = self._entry("claim", self._slice(missing).least(room))
            while not await self._claim(claim) and not self._closing:
                await self.sleep(_RETRY_S)
        except UnavailableError as error:
            _LOG.warning("no money can be claimed, next try in %.0f s: %s", _RETRY_S, error)
            await self.sleep(_RETRY_S)
        finally:
            self._topping_up = None

    async def _claim(self, entry: SpendingEntry) -> bool:
        """Whether the log has decided. Until it has, the entry may have been written."""
        try:
            granted = await asyncio.to_thread(self.log.decide, entry)
        except UnavailableError as error:
            _LOG.warning("a claim is not decided, next try in %.0f s: %s", _RETRY_S, error)
            return False
        if granted and entry.day == self._day:
            self._left += Amount(entry.usd, entry.tokens)
        return True

    def _slice(self, missing: Amount) -> Amount:
        """What to claim: a small share of each limit, and at least what is missing."""
        shares = (each * _SLICE if isfinite(each) else 0 for each in astuple(self.limit))
        usd, tokens = astuple(missing.most(Amount(*shares)))
        return Amount(usd, ceil(tokens))

    def _entry(self, kind: Literal["claim", "return"], amount: Amount) -> SpendingEntry:
        limits = (each if isfinite(each) else 0 for each in astuple(self.limit))
        limit = Amount(*limits)
        return SpendingEntry(
            entry_id=uuid.uuid4().hex,
            kind=kind,
            worker=self.worker,
            day=self._day,
            usd=amount.usd,
            tokens=int(amount.tokens),
            limit_usd=limit.usd,
            limit_tokens=int(limit.tokens),
            ts=self.now(),
        )

    def _today(self) -> date:
        return self.now().astimezone(UTC).date()
