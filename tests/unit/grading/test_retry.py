"""Retry decisions: what is worth another try, when, and how long at most."""

import random
from datetime import UTC, datetime

import pytest

from ragwheel.grading.endpoint.retry import (
    CallFailure,
    GiveUp,
    RetryPolicy,
    Wait,
    decide,
    retry_after_s,
)

_POLICY = RetryPolicy(base_s=0.5, cap_s=30.0, deadline_s=1_000.0)
_NOW = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)


def _http(status: int, code: str = "", retry_after_s: float | None = None) -> CallFailure:
    return CallFailure("http", "told", status=status, code=code, retry_after_s=retry_after_s)


def _decide(
    failure: CallFailure, failures: int = 1, elapsed_s: float = 0.0, dice: float = 0.5
) -> Wait | GiveUp:
    return decide(failure, failures=failures, elapsed_s=elapsed_s, policy=_POLICY, dice=dice)


@pytest.mark.parametrize(
    "failure",
    [
        *(_http(status) for status in (408, 409, 425, 429, 500, 502, 503, 504, 529)),
        CallFailure("timeout", "t"),
        CallFailure("connection", "c"),
        CallFailure("protocol", "p"),
    ],
    ids=str,
)
def test_what_may_pass_is_tried_again(failure: CallFailure) -> None:
    assert isinstance(_decide(failure), Wait)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422])
def test_what_cannot_pass_is_given_up_at_once(status: int) -> None:
    assert _decide(_http(status)) == GiveUp(f"HTTP {status}: told")


def test_an_empty_account_is_not_a_busy_one() -> None:
    assert isinstance(_decide(_http(429, code="insufficient_quota")), GiveUp)


def test_waits_double_to_the_cap_and_spread_over_the_whole_interval() -> None:
    for failures, ceiling in [(1, 0.5), (2, 1.0), (3, 2.0), (7, 30.0), (5_000, 30.0)]:
        dice = random.Random(failures)
        waits = []
        for _ in range(300):
            verdict = _decide(_http(500), failures, dice=dice.random())
            assert isinstance(verdict, Wait)
            waits.append(verdict.seconds)
        assert 0 <= min(waits) < 0.1 * ceiling
        assert 0.9 * ceiling < max(waits) <= ceiling


def test_retry_after_is_obeyed_without_a_cap_and_holds_everybody_back() -> None:
    verdict = _decide(_http(429, retry_after_s=600.0), dice=0.0)
    assert verdict == Wait(600.0, for_all=True)
    later = _decide(_http(503, retry_after_s=600.0), dice=0.99)
    assert isinstance(later, Wait)
    assert 600.0 <= later.seconds <= 630.0


def test_no_try_starts_after_the_deadline() -> None:
    assert isinstance(_decide(_http(429, retry_after_s=100.0), elapsed_s=890.0, dice=0.0), Wait)
    over = _decide(_http(429, retry_after_s=100.0), failures=4, elapsed_s=901.0, dice=0.0)
    assert isinstance(over, GiveUp)
    assert "within 1000 s, 4 tries" in over.reason


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.25"}, 0.25),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9.0),
        ({"retry-after": "Mon, 23 Nov 2026 12:01:30 GMT"}, 90.0),
        ({"retry-after": "Mon, 23 Nov 2026 11:00:00 GMT"}, 0.0),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "tomorrow"}, None),
        ({"retry-after": "Mon, 23 Nov 2026 12:01:30"}, None),
        ({}, None),
    ],
)
def test_retry_after_is_read_in_all_its_forms(
    headers: dict[str, str], seconds: float | None
) -> None:
    assert retry_after_s(headers, _NOW) == seconds
