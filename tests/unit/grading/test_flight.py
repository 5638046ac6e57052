"""Single flight: one worker per key, waiters share, cancelled work is claimed anew."""

import asyncio

import pytest

from ragwheel.grading.flight import SingleFlight


async def test_a_key_is_worked_on_once_and_shared() -> None:
    flight: SingleFlight[int] = SingleFlight(10)
    first = flight.claim(["a", "b", "a"])
    second = flight.claim(["b", "c"])
    assert (first.mine, second.mine) == (["a", "b"], ["c"])
    assert set(second.others) == {"b"}
    flight.settle("b", 7, remember=True)
    assert await second.others["b"] == 7
    assert flight.claim(["b"]).known == {"b": 7}


async def test_what_is_not_to_be_remembered_is_still_shared_with_those_who_wait() -> None:
    flight: SingleFlight[int] = SingleFlight(10)
    flight.claim(["a"])
    waiting = flight.claim(["a"]).others["a"]
    flight.settle("a", 1, remember=False)
    assert await waiting == 1
    assert flight.claim(["a"]).mine == ["a"]


async def test_released_keys_can_be_claimed_by_those_who_waited() -> None:
    flight: SingleFlight[int] = SingleFlight(10)
    flight.claim(["a"])
    waiting = flight.claim(["a"]).others["a"]
    flight.release(["a"])
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert flight.claim(["a"]).mine == ["a"]


async def test_releasing_what_was_settled_changes_nothing() -> None:
    flight: SingleFlight[int] = SingleFlight(10)
    claim = flight.claim(["a"])
    flight.settle("a", 1, remember=True)
    flight.release(claim.mine)
    assert flight.claim(["a"]).known == {"a": 1}


async def test_the_least_recently_used_is_forgotten_first() -> None:
    flight: SingleFlight[int] = SingleFlight(2)
    for key in ("a", "b"):
        flight.claim([key])
        flight.settle(key, 1, remember=True)
    flight.claim(["a"])
    flight.claim(["c"])
    flight.settle("c", 1, remember=True)
    assert len(flight) == 2
    assert flight.claim(["a"]).known == {"a": 1}
    assert flight.claim(["b"]).mine == ["b"]
