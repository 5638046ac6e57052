"""Single flight: a pair that is being graded, or was, is not paid for again in this process."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Claim(Generic[T]):
    """Who does what about a set of keys.

    Attributes:
        known: key → value remembered.
        mine: keys that the claimer must now `settle` or `release`, in order.
        others: key → future of the task that works on it.
    """

    known: dict[str, T]
    mine: list[str]
    others: dict[str, asyncio.Future[T]]


class SingleFlight(Generic[T]):
    """Values by key, each made by one task at a time, the latest `capacity` remembered.

    For one event loop. Whoever claims keys must first finish its own and only then wait for others;
    then no two claimers can wait for each other.
    """

    def __init__(self, capacity: int) -> None:
        """Remember up to `capacity` values, least recently used first to go."""
        self._capacity = capacity
        self._values: OrderedDict[str, T] = OrderedDict()
        self._pending: dict[str, asyncio.Future[T]] = {}

    def claim(self, keys: Iterable[str]) -> Claim[T]:
        """Divide `keys` into remembered, taken by others, and from now on mine."""
        claim: Claim[T] = Claim({}, [], {})
        for key in dict.fromkeys(keys):
            if key in self._values:
                self._values.move_to_end(key)
                claim.known[key] = self._values[key]
            elif key in self._pending:
                claim.others[key] = self._pending[key]
            else:
                self._pending[key] = asyncio.get_running_loop().create_future()
                claim.mine.append(key)
        return claim

    def settle(self, key: str, value: T, *, remember: bool) -> None:
        """Hand `value` to all who wait for `key`; `remember` it for later claimers."""
        future = self._pending.pop(key, None)
        if future is not None and not future.done():
            future.set_result(value)
        if remember:
            self._values[key] = value
            if len(self._values) > self._capacity:
                self._values.popitem(last=False)

    def release(self, keys: Iterable[str]) -> None:
        """Give up what was claimed and not settled; whoever waits must claim again."""
        for key in keys:
            future = self._pending.pop(key, None)
            if future is not None:
                future.cancel()

    def __contains__(self, key: str) -> bool:
        """Whether its value is remembered or under way."""
        return key in self._values or key in self._pending

    def __len__(self) -> int:
        return len(self._values)
