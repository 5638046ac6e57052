"""The real `openai` client against the test LLM: every fault ends in a value, not an exception."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable

import openai
import pytest
from aiohttp import web
from tests.rigs.examples import retrieval
from tests.unit.grading.scripted import StillClock

from ragwheel.backends.telemetry import Telemetry
from ragwheel.grading.asking import rubric_folder
from ragwheel.grading.asking.prompt import PackLimits, Passage, Prompt, build
from ragwheel.grading.endpoint.calls import CallOutcome, ChatCaller, Completion
from ragwheel.grading.endpoint.probe import open_client, require_models
from ragwheel.grading.endpoint.request import RequestShape
from ragwheel.grading.endpoint.retry import GiveUp, RetryPolicy
from ragwheel.grading.rounds import Question, judge
from ragwheel.grading.spending import Spending
from ragwheel.intake.sampling import SamplingPolicy, job_of
from ragwheel.schemas import identity, metrics
from ragwheel.schemas.errors import ConfigError, UnavailableError
from ragwheel.schemas.loading import load
from ragwheel.schemas.settings import GraderSettings
from ragwheel.stack.llm import Fault, LlmServer, Manners, OverlapGrader
from ragwheel.stack.serving import listening

pytestmark = pytest.mark.integration

_QUICK = RetryPolicy(base_s=0.01, cap_s=0.05, deadline_s=5.0)
_TEXTS = ("red file", "green file tree", "nothing of that")


@pytest.fixture
async def server() -> AsyncIterator[LlmServer]:
    made = LlmServer(OverlapGrader(), ("m",), api_key="right")
    async with listening(made.runner()) as made.port:
        yield made


def _client(server: LlmServer, key: str = "right") -> openai.AsyncOpenAI:
    return open_client(
        load(GraderSettings, llm_base_url=server.base_url, llm_api_key=key, llm_timeout_s=1.0)
    )


def _prompt(*more: str) -> Prompt:
    passages = [Passage(identity.content_hash(text), text) for text in (*_TEXTS, *more)]
    return build(rubric_folder.load().of("x"), "green file", passages, PackLimits(), 1)


async def _complete(
    server: LlmServer,
    *,
    key: str = "right",
    model: str = "m",
    policy: RetryPolicy = _QUICK,
    telemetry: Telemetry | None = None,
    calls: int = 1,
    slots: int = 8,
) -> list[CallOutcome]:
    """Outcomes of `calls` concurrent calls by one caller."""
    async with _client(server, key) as client:
        caller = ChatCaller(
            client,
            model,
            RequestShape(),
            policy,
            asyncio.Semaphore(slots),
            telemetry or Telemetry(),
        )
        return await asyncio.gather(*(caller.complete(_prompt()) for _ in range(calls)))


async def test_an_answer_comes_back_with_its_tokens(server: LlmServer) -> None:
    (outcome,) = await _complete(server)
    assert isinstance(outcome.result, Completion)
    assert outcome.result.ending == "complete"
    assert outcome.result.input_tokens == server.tally.input_tokens > 0
    assert outcome.tries == 1


async def test_calls_say_that_a_grader_asks_and_intake_samples_no_such_service(
    server: LlmServer,
) -> None:
    await _complete(server, calls=2)
    assert server.tally.services == {identity.GRADER_SERVICE: 2}
    everything = SamplingPolicy(rate=1.0)
    (service,) = server.tally.services
    assert job_of(retrieval(), everything) is not None
    assert job_of(retrieval(service=service), everything) is None


@pytest.mark.parametrize(
    "fault",
    [
        Fault("rate_limit", 0.05), Fault("server_error"), Fault("disconnect"),
        Fault("broken_body"), Fault("hang"),
    ],
    ids=lambda fault: fault.kind,
)  # fmt: skip
async def test_what_passes_is_tried_again_until_it_works(server: LlmServer, fault: Fault) -> None:
    server.faults.script(fault, 2)
    telemetry = Telemetry()
    (outcome,) = await _complete(server, telemetry=telemetry)
    assert isinstance(outcome.result, Completion)
    assert outcome.tries == 3
    reasons = ("http_429", "http_5xx", "connection", "protocol", "timeout")
    assert sum(telemetry.value(metrics.LLM_RETRIES, reason=each) for each in reasons) == 2


class Breaking(OverlapGrader):
    """A model on whose server one passage is a bug."""

    def grade(self, model: str, query: str, passage: str) -> int:
        if "poison" in passage:
            raise web.HTTPInternalServerError
        return super().grade(model, query, passage)


@pytest.fixture
async def breaking() -> AsyncIterator[LlmServer]:
    made = LlmServer(Breaking(), ("m",))
    async with listening(made.runner()) as made.port:
        yield made


async def test_a_call_that_alone_is_never_answered_is_given_up_after_few_tries(
    breaking: LlmServer,
) -> None:
    """Others are answered meanwhile: the reason is in this call."""
    async with _client(breaking) as client:
        caller = ChatCaller(client, "m", RequestShape(), _QUICK, asyncio.Semaphore(8), Telemetry())
        asked = asyncio.create_task(caller.complete(_prompt("poison")))
        while not asked.done():
            assert isinstance((await caller.complete(_prompt())).result, Completion)
        await caller.breaker.close()
    outcome = asked.result()
    assert isinstance(outcome.result, GiveUp)
    assert "HTTP 500" in outcome.result.reason
    # Each failure after another answer is blamed on it; a few may come in between.
    assert _QUICK.tries_alone <= outcome.tries <= 4 * _QUICK.tries_alone


async def test_a_passage_that_breaks_the_server_is_found_in_a_quiet_worker(
    breaking: LlmServer,
) -> None:
    """Nobody else asks: small calls tell that the server is well, and halving finds the passage."""

    clock = StillClock()
    passages = [Passage(identity.content_hash(text), text) for text in (*_TEXTS, "poison")]
    async with _client(breaking) as client:
        caller = ChatCaller(
            client, "m", RequestShape(), RetryPolicy(), asyncio.Semaphore(8), Telemetry(),
            clock.clock(),
        )  # fmt: skip
        results = await judge(
            caller, Question(rubric_folder.load().of("x"), "green file", "order"), passages,
            PackLimits(), rounds=3, spending=Spending({}, Telemetry()),
        )  # fmt: skip
        await caller.breaker.close()
    assert results.pop(passages[-1].chunk_hash).status == "failed"
    assert {result.status for result in results.values()} == {"graded"}
    assert clock.elapsed_s < 900  # minutes, not an hour for each of the halvings


async def test_retry_after_holds_back_every_call_of_the_model(server: LlmServer) -> None:
    server.faults.script(Fault("rate_limit", 2.0))
    async with _client(server) as client:
        caller = ChatCaller(client, "m", RequestShape(), _QUICK, asyncio.Semaphore(8), Telemetry())
        first = asyncio.create_task(caller.complete(_prompt()))
        while not server.faults.counts:
            await asyncio.sleep(0.005)
        await asyncio.sleep(0.4)  # the client reads the 429
        started = time.monotonic()
        second = await caller.complete(_prompt())
        assert time.monotonic() - started > 0.8
        assert second.tries == 1
        assert (await first).tries == 2


async def test_retry_after_holds_back_calls_that_already_wait_for_a_slot(server: LlmServer) -> None:
    server.faults.script(Fault("rate_limit", 2.0))
    asked = asyncio.create_task(_complete(server, calls=5, slots=1))
    while not server.faults.counts:
        await asyncio.sleep(0.005)
    await asyncio.sleep(0.3)  # in the hold
    assert server.tally.requests == 1
    assert sorted(outcome.tries for outcome in await asked) == [1, 1, 1, 1, 2]


async def test_a_server_without_json_schema_is_asked_without_it_from_then_on(
    server: LlmServer,
) -> None:
    server.behave(Manners(json_schema=False))
    async with _client(server) as client:
        caller = ChatCaller(client, "m", RequestShape(), _QUICK, asyncio.Semaphore(8), Telemetry())
        tries = [(await caller.complete(_prompt())).tries for _ in range(3)]
    assert tries == [2, 1, 1]
    assert server.tally.statuses == {"400": 1, "200": 3}


async def test_concurrent_calls_learn_about_the_server_together(server: LlmServer) -> None:
    server.behave(Manners(json_schema=False))
    outcomes = await _complete(server, calls=8)
    assert all(isinstance(outcome.result, Completion) for outcome in outcomes)
    assert max(outcome.tries for outcome in outcomes) == 2


@pytest.mark.parametrize(
    ("kind", "ending"),
    [("truncated", "truncated"), ("refusal", "refused"), ("content_filter", "refused")],
)
async def test_endings_are_told_apart(server: LlmServer, kind: str, ending: str) -> None:
    server.faults.script(Fault(kind))  # type: ignore[arg-type] # parametrized text
    (outcome,) = await _complete(server)
    assert isinstance(outcome.result, Completion)
    assert outcome.result.ending == ending


async def test_calls_are_counted_by_outcome(server: LlmServer) -> None:
    server.faults.script(Fault("server_error"))
    server.faults.script(Fault("truncated"))
    telemetry = Telemetry()
    await _complete(server, telemetry=telemetry)
    assert telemetry.value(metrics.LLM_CALLS, model="m", outcome="http_5xx") == 1
    assert telemetry.value(metrics.LLM_CALLS, model="m", outcome="truncated") == 1


async def test_no_more_calls_are_in_flight_than_there_are_slots(server: LlmServer) -> None:
    server.faults.at_rates([(1.0, Fault("slow", 0.1))], seed=0)
    started = time.monotonic()
    outcomes = await _complete(server, calls=24)
    assert all(isinstance(outcome.result, Completion) for outcome in outcomes)
    assert time.monotonic() - started >= 0.3  # 24 calls of 0.1 s through 8 slots


async def _check(server: LlmServer, model: str = "m", key: str = "right") -> None:
    async with _client(server, key) as client:
        await require_models(client, server.base_url, model)


async def test_a_good_endpoint_passes_the_check_without_a_paid_call(server: LlmServer) -> None:
    await _check(server)
    assert server.tally.requests == 0


@pytest.mark.parametrize(
    ("check", "told"),
    [
        (lambda server: _check(server, model="absent"), "'absent' is not found"),
        (lambda server: _check(server, key="wrong"), "RAGWHEEL_LLM_API_KEY"),
    ],
    ids=["model", "key"],
)
async def test_a_wrong_endpoint_is_found_at_the_start(
    server: LlmServer, check: Callable[[LlmServer], asyncio.Future[None]], told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        await check(server)


async def test_a_wrong_path_is_found_at_the_start(server: LlmServer) -> None:
    url = server.base_url.removesuffix("/v1")
    settings = load(GraderSettings, llm_base_url=url, llm_api_key="right")
    async with open_client(settings) as client:
        with pytest.raises(ConfigError, match="ends in /v1"):
            await require_models(client, url, "m")


async def test_nobody_there_is_told_as_such() -> None:
    url = "http://127.0.0.1:1/v1"
    async with open_client(load(GraderSettings, llm_base_url=url, llm_api_key="k")) as client:
        with pytest.raises(UnavailableError, match="no LLM answers"):
            await require_models(client, url, "m")
