"""The circuit breaker: what opens it, how often it is tried, what closes it."""

import asyncio
from collections import deque
from itertools import pairwise

import pytest
from tests.unit.grading.scripted import StillClock

from ragwheel.backends.telemetry import Telemetry
from ragwheel.grading.endpoint.breaker import (
    Breaker,
    Circuit,
    after_answer,
    after_probe,
    after_refusal,
    probing,
)
from ragwheel.grading.endpoint.retry import CallFailure, HoldAll
from ragwheel.schemas import metrics

_REVOKED = HoldAll("http_401", "HTTP 401: no such key")
_KEY = CallFailure("http", "no such key", status=401)


def test_pauses_between_probes_double_up_to_five_minutes() -> None:
    circuit, pauses = Circuit(), []
    for _ in range(10):
        circuit = after_refusal(circuit, _REVOKED, now=100.0, dice=0.999)
        assert circuit.state == "open"
        pauses.append(circuit.probe_at - 100.0)
        circuit = probing(circuit)
    assert all(later >= earlier for earlier, later in pairwise(pauses))
    assert 4.9 < pauses[0] <= 5.0
    assert 299.0 < pauses[-1] <= 300.0


def test_half_of_a_pause_is_random_so_that_workers_do_not_probe_together() -> None:
    shortest = after_refusal(Circuit(), _REVOKED, now=0.0, dice=0.0)
    longest = after_refusal(Circuit(), _REVOKED, now=0.0, dice=0.999)
    assert longest.probe_at == pytest.approx(2 * shortest.probe_at, rel=0.01)


def test_a_pause_that_the_server_asks_for_has_no_cap() -> None:
    circuit = after_refusal(Circuit(), HoldAll("retry_after", "later", 86_400.0), now=0.0, dice=0.0)
    assert circuit.probe_at == 86_400.0


def test_a_refusal_from_before_changes_only_how_long_the_server_is_left_alone() -> None:
    circuit = after_refusal(Circuit(), _REVOKED, now=0.0, dice=0.5)
    assert after_refusal(circuit, HoldAll("quota", "empty"), now=1.0, dice=0.5) == circuit
    asked = after_refusal(circuit, HoldAll("retry_after", "later", 600.0), now=1.0, dice=0.0)
    assert (asked.reason, asked.probe_at) == ("http_401", 601.0)


def test_pauses_are_short_again_only_after_real_calls_were_answered() -> None:
    circuit = Circuit()
    for _ in range(3):
        circuit = after_probe(probing(after_refusal(circuit, _REVOKED, now=0.0, dice=0.0)))
    assert circuit.state == "closed"
    assert after_refusal(circuit, _REVOKED, now=0.0, dice=0.0).probe_at == 20.0
    assert after_refusal(after_answer(circuit), _REVOKED, now=0.0, dice=0.0).probe_at == 2.5


def test_an_answer_to_an_old_call_does_not_close_the_circuit() -> None:
    circuit = after_refusal(Circuit(), _REVOKED, now=0.0, dice=0.0)
    assert after_answer(circuit) == circuit


class Endpoint:
    """Probes are answered as told, then for ever with success."""

    def __init__(self, *failures: CallFailure) -> None:
        self.failures = deque(failures)
        self.time = StillClock()
        self.changes: list[bool] = []
        self.telemetry = Telemetry()
        self.breaker = Breaker("m", self.probe, self.telemetry, self.time.clock())
        self.breaker.changed = lambda: self.changes.append(self.breaker.is_closed)

    async def probe(self) -> CallFailure | None:
        return self.failures.popleft() if self.failures else None

    def shown(self, state: str, reason: str) -> float:
        return self.telemetry.value(metrics.LLM_BREAKER, model="m", state=state, reason=reason)


async def test_it_goes_on_by_itself_when_the_key_works_again() -> None:
    endpoint = Endpoint(_KEY, CallFailure("timeout", "t"), CallFailure("http", "e", status=500))
    endpoint.breaker.trip(_REVOKED)
    assert endpoint.shown("open", "http_401") == 1
    assert endpoint.shown("closed", "none") == 0
    waiting = [asyncio.create_task(endpoint.breaker.wait_closed()) for _ in range(5)]
    await asyncio.wait_for(asyncio.gather(*waiting), 30)
    assert endpoint.breaker.is_closed
    assert not endpoint.failures
    assert endpoint.changes == [False, True]
    assert endpoint.shown("closed", "none") == 1
    assert endpoint.shown("open", "http_401") == 0
    assert len(endpoint.time.sleeps) == 4


async def test_a_server_that_is_only_busy_has_accepted_the_key() -> None:
    endpoint = Endpoint(CallFailure("http", "slow down", status=429), _KEY)
    endpoint.breaker.trip(_REVOKED)
    await asyncio.wait_for(endpoint.breaker.wait_closed(), 30)
    assert endpoint.failures == deque([_KEY])


async def test_many_refusals_at_once_are_one_outage_with_one_prober() -> None:
    endpoint = Endpoint(_KEY)
    for _ in range(20):
        endpoint.breaker.trip(_REVOKED)
    await asyncio.wait_for(endpoint.breaker.wait_closed(), 30)
    assert len(endpoint.time.sleeps) == 2


async def test_closing_the_process_ends_the_probing() -> None:
    endpoint = Endpoint(*[_KEY] * 1_000)
    endpoint.breaker.trip(_REVOKED)
    await asyncio.sleep(0)
    await endpoint.breaker.close()
    assert not endpoint.breaker.is_closed
    assert endpoint.failures
