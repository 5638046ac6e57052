"""A key that is revoked for a while costs not one label: from message to label, over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial

import pytest
from tests.unit.grading.scripted import MemoryStore, StillClock, job

from ragwheel.backends.publish import Outgoing
from ragwheel.backends.telemetry import Telemetry
from ragwheel.grading.asking import rubric_folder
from ragwheel.grading.asking.prompt import PackLimits
from ragwheel.grading.endpoint.calls import ChatCaller
from ragwheel.grading.endpoint.probe import open_client
from ragwheel.grading.endpoint.request import RequestShape
from ragwheel.grading.endpoint.retry import RetryPolicy
from ragwheel.grading.grader import LlmGrader
from ragwheel.grading.handling import GradingWorker
from ragwheel.grading.spending import Spending
from ragwheel.grading.window import OrderedWindow
from ragwheel.schemas import wire
from ragwheel.schemas.events import Label
from ragwheel.schemas.loading import load
from ragwheel.schemas.settings import GraderSettings
from ragwheel.schemas.topics import TOPICS
from ragwheel.schemas.wire import Received
from ragwheel.stack.llm import Fault, LlmServer, OverlapGrader
from ragwheel.stack.serving import listening

pytestmark = pytest.mark.integration


class Durable:
    """What reached Kafka."""

    def __init__(self) -> None:
        self.labels: list[Label] = []

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        for each in messages:
            label = wire.decode(TOPICS["labels"], each.key, each.value)
            assert isinstance(label, Label)
            self.labels.append(label)


@pytest.fixture
async def server() -> AsyncIterator[LlmServer]:
    made = LlmServer(OverlapGrader(), ("m",), api_key="right")
    async with listening(made.runner()) as made.port:
        yield made


async def _until(condition: Callable[[], bool], what: str) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)
    assert condition(), what


@pytest.mark.parametrize(
    "fault", [Fault("unauthorized"), Fault("rate_limit", 600.0), Fault("server_error")],
    ids=["revoked key", "ten minutes' Retry-After", "outage"],
)  # fmt: skip
async def test_a_refused_account_costs_no_label_and_grading_goes_on_by_itself(
    server: LlmServer, fault: Fault
) -> None:
    """Hours pass on the fake clock; nothing is labelled, acknowledged, or begun meanwhile."""
    telemetry, clock, durable = Telemetry(), StillClock().clock(), Durable()
    settings = load(GraderSettings, llm_base_url=server.base_url, llm_api_key="right")
    jobs = [job(f"query {number}", range(12)) for number in range(12)]
    acknowledged: list[int] = []
    server.faults.at_rates([(1.0, fault)], seed=0)
    async with open_client(settings) as client:
        caller = ChatCaller(
            client, "m", RequestShape(), RetryPolicy(), asyncio.Semaphore(4), telemetry, clock
        )
        grader = LlmGrader(
            caller, rubric_folder.load(), MemoryStore(), Spending({}, telemetry), telemetry,
            limits=PackLimits(), parameters={}, clock=clock,
        )  # fmt: skip
        worker = GradingWorker({"label": grader}, durable)
        window = OrderedWindow(4, clock.monotonic)
        caller.breaker.changed = lambda: window.admit(caller.breaker.is_closed)
        for number, each in enumerate(jobs):
            message = Received(
                "grading", 0, number, each.query_hash.encode(), wire.encode(each), timestamp_ms=0
            )
            window.submit(0, partial(worker.handle, message), partial(acknowledged.append, number))
        await _until(lambda: server.faults.counts[fault.kind] >= 9, "calls and probes are refused")
        assert (durable.labels, acknowledged) == ([], [])
        # What was under way in the four slots (an outage is told from a hiccup by five failures of
        # a call), and then one probe after the other.
        before = 4 if fault.kind != "server_error" else 8 * RetryPolicy().tries_alone
        await _until(lambda: caller.breaker.circuit.trips > 1, "the breaker has probed")
        assert server.faults.counts[fault.kind] <= before + caller.breaker.circuit.trips
        server.faults.clear()
        assert await window.drain(60)
    assert acknowledged == list(range(12))
    assert {label.status for label in durable.labels} == {"graded"}
    assert len(durable.labels) == 12 * 12
    assert server.tally.summary(server.faults)["pairs_asked_again"] == 0
