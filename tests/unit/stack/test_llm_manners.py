"""Servers that lack features, take their time, or allow only so much."""

from __future__ import annotations

import random
from typing import Any

import pytest

from ragwheel.stack.llm.allowance import Allowance, RateLimits
from ragwheel.stack.llm.manners import LatencySpread, Manners, parse_manners


def test_latencies_have_the_median_and_tail_that_were_said_and_a_seed_repeats_them() -> None:
    latency = LatencySpread(p50=0.2, p95=1.0)
    dice = random.Random(7)
    drawn = sorted(latency.draw(dice) for _ in range(10_000))
    assert drawn[5_000] == pytest.approx(0.2, rel=0.05)
    assert drawn[9_500] == pytest.approx(1.0, rel=0.08)
    again = random.Random(7)
    assert sorted(latency.draw(again) for _ in range(10_000)) == drawn


@pytest.mark.parametrize(
    ("manners", "body", "told"),
    [
        (Manners(key_revoked=True), {}, (401, "invalid_api_key")),
        (Manners(quota_exhausted=True), {}, (429, "insufficient_quota")),
        (Manners(json_schema=False), {"response_format": {"type": "json_schema"}},
         (400, "invalid_request_error")),
        (Manners(json_object=False), {"response_format": {"type": "json_object"}},
         (400, "invalid_request_error")),
        (Manners(temperature=False), {"temperature": 0.0}, (400, "invalid_request_error")),
        (Manners(max_completion_tokens=False), {"max_completion_tokens": 9},
         (400, "invalid_request_error")),
        (Manners(logprobs="refused"), {"logprobs": True}, (400, "invalid_request_error")),
    ],
)  # fmt: skip
def test_what_a_server_does_not_do_it_refuses_by_name(
    manners: Manners, body: dict[str, Any], told: tuple[int, str]
) -> None:
    refusal = manners.refusal(body)
    assert refusal is not None
    assert (refusal.status, refusal.code) == told
    assert Manners().refusal(body) is None
    if refusal.param is not None:
        assert refusal.param in body
        assert manners.refusal({"response_format": None}) is None


@pytest.mark.parametrize(
    "raw",
    [
        {"json_shema": False},
        {"latency": {"p50": 2, "p95": 1}},
        {"latency": {"p50": 0, "p95": 1}},
        {"limits": {"requests_per_minute": -1}},
        {"logprobs": "maybe"},
    ],
)
def test_manners_that_make_no_sense_are_refused(raw: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(raw))):
        parse_manners(raw)


def test_a_strict_limit_admits_its_rate_and_not_one_call_more() -> None:
    allowance = Allowance(RateLimits(requests_per_minute=600, burst_s=1), now=0.0)
    admitted = sum(allowance.take(1, now / 100) == 0 for now in range(0, 6_000))
    assert 609 <= admitted <= 610  # the burst of ten, and ten a second


def test_who_waits_as_told_is_admitted() -> None:
    allowance = Allowance(RateLimits(requests_per_minute=60, tokens_per_minute=6_000), now=0.0)
    assert allowance.take(6_000, 0.0) == 0
    wait_s = allowance.take(1_000, 0.0)
    assert wait_s == pytest.approx(10.0)
    assert allowance.headers(0.0, wait_s)["Retry-After"] == "10"
    assert allowance.headers(0.0, wait_s)["retry-after-ms"] == "10000"
    assert allowance.take(1_000, 9.9) > 0
    assert allowance.take(1_000, 10.0) == 0


def test_the_headers_tell_what_is_left() -> None:
    allowance = Allowance(RateLimits(requests_per_minute=60, tokens_per_minute=6_000), now=0.0)
    assert allowance.take(1_500, 0.0) == 0
    assert allowance.headers(0.0) == {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "59",
        "x-ratelimit-reset-requests": "1000ms",
        "x-ratelimit-limit-tokens": "6000",
        "x-ratelimit-remaining-tokens": "4500",
        "x-ratelimit-reset-tokens": "15000ms",
    }


def test_a_call_that_was_refused_takes_nothing() -> None:
    allowance = Allowance(RateLimits(requests_per_minute=60, tokens_per_minute=600), now=0.0)
    assert allowance.take(601, 0.0) == float("inf")  # larger than the limit: never
    assert allowance.headers(0.0, float("inf"))["x-ratelimit-remaining-requests"] == "60"
    assert "Retry-After" not in allowance.headers(0.0, float("inf"))


def test_without_limits_nothing_is_held_back_and_nothing_told() -> None:
    allowance = Allowance(RateLimits(), now=0.0)
    assert allowance.take(10**9, 0.0) == 0
    assert allowance.headers(0.0) == {}
