"""The rate limiter: as fast as allowed and no faster, whatever the server tells about itself."""

import pytest
from tests.rigs.pacing import simulate

from ragwheel.grading.endpoint.limiter import Bucket, LearntPace, RateLimiter, header_count
from ragwheel.stack.llm.allowance import RateLimits


@pytest.mark.parametrize("with_headers", [True, False], ids=["headers", "no headers"])
@pytest.mark.parametrize(
    "limits",
    [RateLimits(600, burst_s=1), RateLimits(6_000, 600_000, burst_s=1)],
    ids=["requests", "tokens"],
)
def test_a_strict_limit_is_used_to_95_percent_with_at_most_1_percent_refusals(
    limits: RateLimits, with_headers: bool
) -> None:
    seen = simulate(limits, with_headers=with_headers)
    assert seen.efficiency >= 0.95
    assert seen.refused <= 0.01


def test_a_bucket_spreads_calls_evenly_and_saves_nothing_up() -> None:
    bucket = Bucket(rate=2.0)
    starts = []
    for _ in range(4):
        starts.append(bucket.wait_s(100.0))
        bucket.take(1)
    assert starts == [0.0, 0.5, 1.0, 1.5]
    assert bucket.wait_s(1_000.0) == 0.0
    bucket.take(1)
    assert bucket.wait_s(1_000.0) == 0.5


def test_without_any_limit_nobody_waits() -> None:
    limiter = RateLimiter()
    assert {limiter.reserve(10_000, 5.0) for _ in range(1_000)} == {0.0}


def test_a_retry_after_holds_all_back_however_long_and_they_return_one_by_one() -> None:
    limiter = RateLimiter()
    limiter.told({"x-ratelimit-limit-requests": "600"})
    limiter.hold(86_400.0, now=0.0)
    assert limiter.is_held(86_399.0)
    waits = [limiter.reserve(0, 10.0) for _ in range(3)]
    assert waits[0] == 86_390.0
    assert [wait - waits[0] for wait in waits] == pytest.approx([0.0, 0.102, 0.204], abs=0.001)
    limiter.hold(1.0, now=10.0)  # a shorter one from another call changes nothing
    assert limiter.is_held(86_399.0)


def test_tokens_are_reserved_as_the_server_counts_them() -> None:
    limiter = RateLimiter()
    limiter.told({"x-ratelimit-limit-tokens": "60000"})
    for _ in range(100):
        limiter.answered(1_000, 2_000)
    assert limiter.tokens_per_estimate == pytest.approx(2.0, rel=0.01)


def test_refusals_at_any_pace_do_not_push_it_below_one_call_a_second() -> None:
    pace = LearntPace(rate=64.0)
    for second in range(1_000):
        pace.refused(float(second), float(second), measured=64.0)
    assert pace.rate == 1.0
    pace.told(0.5)  # unless the headers say so
    pace.refused(2_000.0, 2_000.0, measured=0.5)
    assert pace.rate < 0.5


def test_a_burst_of_refusals_of_calls_sent_together_counts_once() -> None:
    pace = LearntPace()
    for _ in range(30):
        pace.refused(sent_at=1.0, now=1.5, measured=20.0)
    assert pace.rate == pytest.approx(20.0 * 0.95)


@pytest.mark.parametrize("raw", ["", "-1", "0", "soon", "1e9", "9" * 40, "²"])
def test_nonsense_in_headers_is_ignored(raw: str) -> None:
    assert header_count({"x-ratelimit-limit-requests": raw}, "x-ratelimit-limit-requests") is None
    limiter = RateLimiter()
    limiter.told({"x-ratelimit-limit-requests": raw, "x-ratelimit-limit-tokens": raw})
    assert limiter.reserve(10**9, 0.0) == limiter.reserve(10**9, 0.0) == 0.0
