"""What a grade costs in calls and tokens, how much of a limit is used, and how long a job takes.

    python bench/grading.py [--jobs 60] [--passages 20]

The same jobs are graded twice over HTTP against the test server, which answers at once: with ten
passages a call and with one. Printed are calls and input tokens of each, and the time from job to
labels, without Kafka. The limiter meets strict limits in simulated time, with and without the
headers that tell them. The exit status is 1 when a bar is missed: 1/8 of the calls, half the input
tokens, 95 % of what is allowed, 1 % of refusals.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
from dataclasses import dataclass

from tests.rigs.grading import LABELER, job
from tests.rigs.pacing import simulate
from tests.unit.grading.scripted import MemoryStore

from ragwheel.backends.telemetry import Telemetry
from ragwheel.grading.asking import rubric_folder
from ragwheel.grading.asking.prompt import PackLimits
from ragwheel.grading.endpoint.calls import ChatCaller
from ragwheel.grading.endpoint.probe import open_client
from ragwheel.grading.endpoint.request import RequestShape
from ragwheel.grading.endpoint.retry import RetryPolicy
from ragwheel.grading.grader import LlmGrader
from ragwheel.grading.spending import Spending
from ragwheel.schemas.loading import load
from ragwheel.schemas.settings import GraderSettings
from ragwheel.stack.llm import LlmServer, OverlapGrader
from ragwheel.stack.llm.allowance import RateLimits
from ragwheel.stack.serving import listening

_CONCURRENCY = 16
#: Requests and tokens per minute of the limits that the limiter meets; a call has 1,000 tokens.
_LIMITS = ((120, 10_000_000), (600, 10_000_000), (6_000, 600_000))


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one way to ask."""

    calls: int
    input_tokens: int
    pairs: int
    p50_s: float
    p95_s: float


async def grade_all(jobs: int, passages: int, per_call: int) -> Cost:
    """Grade that many jobs, a few at a time, and read the server's own accounts."""
    server = LlmServer(OverlapGrader(), (LABELER,))
    async with listening(server.runner()) as server.port:
        settings = load(GraderSettings, llm_base_url=server.base_url, llm_api_key="none")
        telemetry = Telemetry()
        async with open_client(settings) as client:
            slots = asyncio.Semaphore(_CONCURRENCY)
            caller = ChatCaller(client, LABELER, RequestShape(), RetryPolicy(), slots, telemetry)
            grader = LlmGrader(
                caller, rubric_folder.load(), MemoryStore(), Spending({}, telemetry), telemetry,
                limits=PackLimits(passages=per_call), parameters={},
            )  # fmt: skip
            at_once = asyncio.Semaphore(4)

            async def timed(number: int) -> float:
                async with at_once:
                    started = time.perf_counter()
                    await grader.grade(job(number, passages))
                    return time.perf_counter() - started

            times = await asyncio.gather(*map(timed, range(jobs)))
    cuts = statistics.quantiles(times, n=20)
    tally = server.tally
    return Cost(tally.requests, tally.input_tokens, sum(tally.pairs.values()), cuts[9], cuts[18])


def show_costs(jobs: int, passages: int) -> bool:
    """Print batched against one by one; whether the bars are met."""
    batched, alone = (asyncio.run(grade_all(jobs, passages, per_call)) for per_call in (10, 1))
    for name, cost in (("ten a call", batched), ("one a call", alone)):
        print(
            f"{name}: {cost.calls / cost.pairs:.3f} calls and "
            f"{cost.input_tokens / cost.pairs:.0f} input tokens a passage; job to labels "
            f"p50 {cost.p50_s * 1000:.0f} ms, p95 {cost.p95_s * 1000:.0f} ms"
        )
    calls, tokens = batched.calls / alone.calls, batched.input_tokens / alone.input_tokens
    print(f"batched / one by one: {calls:.3f} of the calls, {tokens:.3f} of the input tokens")
    return calls <= 1 / 8 and tokens <= 0.5


def show_limiter() -> bool:
    """Print what is made of strict limits; whether the bars are met by all."""
    good = True
    for requests, tokens in _LIMITS:
        for headers in (True, False):
            seen = simulate(RateLimits(requests, tokens, burst_s=1), with_headers=headers)
            good &= seen.efficiency >= 0.95 and seen.refused <= 0.01
            print(
                f"{requests} requests and {tokens:,.0f} tokens a minute, "
                f"{'with' if headers else 'without'} headers: {seen.efficiency:.1%} used, "
                f"{seen.refused:.2%} refused"
            )
    return good


def main() -> int:
    """Print everything; 1 when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=60)
    parser.add_argument("--passages", type=int, default=20)
    args = parser.parse_args()
    costs, paced = show_costs(args.jobs, args.passages), show_limiter()
    return 0 if costs and paced else 1


if __name__ == "__main__":
    sys.exit(main())
