"""Retry decisions: what is worth another try, when, and how long at most."""

import random
from datetime import UTC, datetime

import pytest

from ragwheel.grading.endpoint.retry import (
    Attempts,
    CallFailure,
    GiveUp,
    HoldAll,
    RetryPolicy,
    Wait,
    decide,
    retry_after_s,
)

_POLICY = RetryPolicy(base_s=0.5, cap_s=30.0, deadline_s=1_000.0)
_NOW = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)


def _http(
    status: int, code: str = "", retry_after_s: float | None = None, message: str = "told"
) -> CallFailure:
    return CallFailure("http", message, status=status, code=code, retry_after_s=retry_after_s)


def _decide(
    failure: CallFailure,
    failures: int = 1,
    *,
    alone: int = 0,
    silent: int = 0,
    others: bool = False,
    elapsed_s: float = 0.0,
    dice: float = 0.5,
) -> Wait | GiveUp | HoldAll:
    return decide(failure, Attempts(failures, alone, silent, others, elapsed_s), _POLICY, dice)


_PASSING = [
    *(_http(status) for status in (408, 409, 425, 429, 500, 502, 503, 504, 529)),
    CallFailure("timeout", "t"),
    CallFailure("connection", "c"),
    CallFailure("protocol", "p"),
]


@pytest.mark.parametrize("failure", _PASSING, ids=str)
def test_what_may_pass_is_tried_again(failure: CallFailure) -> None:
    assert isinstance(_decide(failure), Wait)


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        *((_http(status), f"http_{status}") for status in (401, 402, 403, 404)),
        (_http(429, code="insufficient_quota"), "quota"),
        (_http(400, message="Your credit balance is too low"), "quota"),
        (_http(400, message="API key not valid"), "http_400"),
        (_http(429, retry_after_s=600.0), "retry_after"),
        (_http(503, retry_after_s=600.0), "retry_after"),
    ],
    ids=str,
)
def test_what_concerns_the_account_holds_all_calls_back(failure: CallFailure, reason: str) -> None:
    held = _decide(failure)
    assert isinstance(held, HoldAll)
    assert held.reason == reason
    assert held.retry_after_s == failure.retry_after_s


@pytest.mark.parametrize(
    ("failure", "status"),
    [
        (_http(400, code="context_length_exceeded"), "truncated"),
        (_http(400, message="This model's maximum context length is 4096 tokens."), "truncated"),
        (_http(413), "truncated"),
        (_http(429, message="Request too large for m on tokens per min"), "truncated"),
        (_http(400, code="content_filter"), "refused"),
        (_http(403, message="Your chosen model requires moderation"), "refused"),
    ],
    ids=str,
)
def test_what_is_wrong_with_the_texts_ends_this_call_alone(
    failure: CallFailure, status: str
) -> None:
    assert _decide(failure) == GiveUp(str(failure), status)  # type: ignore[arg-type]


@pytest.mark.parametrize("status", [400, 405, 422])
def test_an_unexplained_refusal_is_blamed_on_the_call_only_when_others_are_answered(
    status: int,
) -> None:
    assert _decide(_http(status)) == HoldAll(f"http_{status}", f"HTTP {status}: told", 0.0)
    assert _decide(_http(status), 2, alone=1) == GiveUp(f"HTTP {status}: told")


@pytest.mark.parametrize("failure", [*_PASSING, _http(401)], ids=str)
def test_a_call_that_fails_again_and_again_while_others_are_answered_is_given_up(
    failure: CallFailure,
) -> None:
    most = _POLICY.tries_alone
    assert not isinstance(_decide(failure, most, alone=most - 1), GiveUp)
    assert isinstance(_decide(failure, most + 1, alone=most), GiveUp)


def test_when_nobody_is_answered_a_small_call_tells_soon_whether_it_is_an_outage() -> None:
    most = _POLICY.tries_alone
    assert isinstance(_decide(_http(500), most - 1, silent=most - 1), Wait)
    held = _decide(_http(500), most, silent=most)
    assert held == HoldAll("http_500", "HTTP 500: told", retry_after_s=0.0)
    # Once suspected, a call in an otherwise quiet worker is not tried for long.
    assert isinstance(_decide(_http(500), 7, alone=1, silent=0), Wait)
    assert isinstance(_decide(_http(500), 7, alone=1, silent=1), HoldAll)
    assert isinstance(_decide(_http(429), 50, silent=50), Wait)


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


def test_retry_after_holds_everybody_back_and_costs_no_patience() -> None:
    verdict = _decide(_http(429, retry_after_s=100.0), elapsed_s=999.0, dice=0.0)
    assert verdict == Wait(100.0, for_all=True)
    later = _decide(_http(503, retry_after_s=100.0), dice=0.99)
    assert isinstance(later, Wait)
    assert 100.0 <= later.seconds <= 105.0


def test_after_the_deadline_the_call_ends_if_others_were_answered_and_waits_if_none_was() -> None:
    assert isinstance(_decide(_http(500), elapsed_s=999.0), Wait)
    over = _decide(_http(500), 4, others=True, elapsed_s=1_000.0)
    assert isinstance(over, GiveUp)
    assert "within 1000 s, 4 tries" in over.reason
    held = _decide(_http(500), 4, elapsed_s=1_000.0)
    assert isinstance(held, HoldAll)
    assert held.reason == "unanswered"


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
