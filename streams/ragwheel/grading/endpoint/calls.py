"""One chat completion over HTTP, repeated until it is an answer or the patience ends.

The only module that knows the `openai` package. Thin: what to send is `request`, what to do about
a failure is `retry`, what an answer means is `answer`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Literal, Protocol

import openai
from openai.types.chat import ChatCompletion

from ragwheel.backends.telemetry import Telemetry
from ragwheel.grading.asking.prompt import Prompt
from ragwheel.grading.endpoint.breaker import Breaker
from ragwheel.grading.endpoint.limiter import RateLimiter
from ragwheel.grading.endpoint.request import RequestShape, adapt
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
from ragwheel.grading.endpoint.smallest import SMALLEST
from ragwheel.grading.endpoint.timing import Clock
from ragwheel.schemas import metrics

#: Charged when a server reports no usage, and expected until it has.
_CHARS_PER_TOKEN = 4


@dataclass(frozen=True, slots=True)
class Completion:
    """What the model said.

    Attributes:
        ending: complete; truncated at the token limit; refused by model or content filter.
        text: as sent, unchecked.
        latency_s: of the successful try alone.
    """

    ending: Literal["complete", "truncated", "refused"]
    text: str
    input_tokens: int
    output_tokens: int
    latency_s: float


@dataclass(frozen=True, slots=True)
class CallOutcome:
    """A completion or the reason why there is none, after `tries` requests."""

    result: Completion | GiveUp
    tries: int


class Completer(Protocol):
    """Anything that answers prompts. Never raises, except when its task is cancelled."""

    @property
    def model(self) -> str:
        """Model name, part of the grader's identity."""

    @property
    def form(self) -> Mapping[str, object]:
        """The form of request in force, part of the grader's identity; JSON values alone."""

    async def complete(self, prompt: Prompt) -> CallOutcome:
        """Answer one prompt."""


@dataclass
class ChatCaller:
    """`Completer` over an OpenAI-compatible endpoint.

    At most `slots` requests are in flight over all tasks that share the semaphore; waits between
    tries hold no slot. The limiter says when a call may go. What concerns all calls holds all of
    them back: a Retry-After, and whatever opens the breaker. While it is open no call ends.

    Attributes:
        client: has `max_retries=0` and an explicit timeout.
        model: its name as sent.
        shape: of the next request; gives way to a server that lacks a feature.
        learnt: called with each shape other than the first when it was answered first.
    """

    client: openai.AsyncOpenAI
    model: str
    shape: RequestShape
    policy: RetryPolicy
    slots: asyncio.Semaphore
    telemetry: Telemetry
    clock: Clock = field(default_factory=Clock)
    learnt: Callable[[RequestShape], None] = lambda _: None
    breaker: Breaker = field(init=False)
    limiter: RateLimiter = field(default_factory=RateLimiter, init=False)

    def __post_init__(self) -> None:
        self.breaker = Breaker(self.model, self._probe, self.telemetry, self.clock)
        self._answered_shape = self.shape

    @property
    def form(self) -> Mapping[str, object]:
        """Which parts of a request this server takes."""
        return asdict(self.shape)

    async def complete(self, prompt: Prompt) -> CallOutcome:
        """Send `prompt` until it is answered, or it is clear that the reason is in itself."""
        call = _Call(self.breaker)
        estimate = _estimated_tokens(prompt)
        while True:
            await self._wait_for_turn(estimate)
            async with self.slots:
                if self._is_held():  # told so while this call waited for its slot
                    continue
                shape = self.shape
                call.tries += 1
                started = self.clock.monotonic()
                self.limiter.sent(started)
                result = await self._try(prompt, shape)
                now = self.clock.monotonic()
                call.elapsed_s += now - started
            if isinstance(result, Completion):
                self.breaker.answered()
                if shape != self._answered_shape:
                    self._answered_shape = shape
                    self.learnt(shape)
                self.limiter.answered(estimate, result.input_tokens)
                return CallOutcome(result, call.tries)
            if result.is_busy:
                self.limiter.refused(started, now)
            if self._give_way(shape, result):
                continue
            attempts = call.failed(result)
            decision = decide(result, attempts, self.policy, self.clock.dice())
            if isinstance(decision, GiveUp):
                return CallOutcome(decision, call.tries)
            self.telemetry.inc(metrics.LLM_RETRIES, reason=_failure_kind(result))
            await self._wait(decision, call)

    async def _wait(self, decision: Wait | HoldAll, call: _Call) -> None:
        """Wait as decided; what all wait for is not counted against the patience of one."""
        if isinstance(decision, HoldAll):
            self.breaker.trip(decision)
            call.elapsed_s = 0.0
        elif decision.for_all:
            self.limiter.hold(decision.seconds, self.clock.monotonic())
        else:
            call.elapsed_s += decision.seconds
            await self.clock.sleep(decision.seconds)

    async def _wait_for_turn(self, estimated_tokens: int) -> None:
        """Until the breaker is closed and it is this call's turn. Costs no patience."""
        while True:
            await self.breaker.wait_closed()
            wait_s = self.limiter.reserve(estimated_tokens, self.clock.monotonic())
            if wait_s > 0:
                await self.clock.sleep(wait_s)
            if not self._is_held():
                return

    def _is_held(self) -> bool:
        return not self.breaker.is_closed or self.limiter.is_held(self.clock.monotonic())

    async def _probe(self) -> CallFailure | None:
        """One small call, whatever holds the others back; None when it was answered."""
        while True:
            shape = self.shape
            result = await self._try(SMALLEST, shape)
            if isinstance(result, Completion):
                return None
            if not self._give_way(shape, result):
                return result

    def _give_way(self, shape: RequestShape, failure: CallFailure) -> bool:
        """Whether another shape is worth a try at once. Remembered for all later calls."""
        adapted = adapt(shape, failure)
        if adapted is None:
            return False
        if self.shape is shape:  # else a concurrent call has learnt it already
            self.shape = adapted
        return True

    async def _try(self, prompt: Prompt, shape: RequestShape) -> Completion | CallFailure:
        body = shape.body(self.model, prompt.system, prompt.user, len(prompt.chunk_of_id))
        started = self.clock.monotonic()
        try:
            raw = await self.client.chat.completions.with_raw_response.create(**body)
            self.limiter.told(raw.headers)
            result = _read(raw.parse(), prompt, started, self.clock)
        except openai.OpenAIError as error:
            if isinstance(error, openai.APIStatusError):
                self.limiter.told(error.response.headers)
            result = _failure(error, self.clock.now())
        except ValueError as error:  # the SDK lets the JSON decoder's errors through
            result = CallFailure("protocol", f"the response is not JSON: {error}"[:300])
        elapsed_s = self.clock.monotonic() - started
        kind = result.ending if isinstance(result, Completion) else _failure_kind(result)
        self.telemetry.inc(metrics.LLM_CALLS, model=self.model, outcome=kind)
        self.telemetry.observe(metrics.LLM_SECONDS, elapsed_s, model=self.model)
        return result


@dataclass
class _Call:
    """What one call went through."""

    breaker: Breaker
    tries: int = 0
    failures: int = 0
    alone: int = 0
    in_silence: int = 0
    elapsed_s: float = 0.0

    def __post_init__(self) -> None:
        self._answers_at_start = self._answers_seen = self.breaker.answers

    def failed(self, failure: CallFailure) -> Attempts:
        """Count a failure."""
        answers = self.breaker.answers
        self.failures += 1
        if answers > self._answers_seen:
            self.alone += not failure.is_busy
            self.in_silence = 0
        else:
            self.in_silence += 1
        self._answers_seen = answers
        others_answered = answers > self._answers_at_start
        return Attempts(self.failures, self.alone, self.in_silence, others_answered, self.elapsed_s)


def _read(
    response: ChatCompletion, prompt: Prompt, started: float, clock: Clock
) -> Completion | CallFailure:
    # The SDK builds its models without validation, so every field can be anything.
    if not isinstance(response, ChatCompletion) or not response.choices:
        return CallFailure("protocol", "the response has no choices")
    choice = response.choices[0]
    message = choice.message
    if message is None or not isinstance(message.content, str | None):
        return CallFailure("protocol", "the response has no message")
    text = message.content or ""
    usage = response.usage
    input_tokens = _count(usage and usage.prompt_tokens, _estimated_tokens(prompt))
    output_tokens = _count(usage and usage.completion_tokens, len(text) // _CHARS_PER_TOKEN)
    ending: Literal["complete", "truncated", "refused"] = "complete"
    if message.refusal or choice.finish_reason == "content_filter":
        ending = "refused"
    elif choice.finish_reason == "length":
        ending = "truncated"
    return Completion(ending, text, input_tokens, output_tokens, clock.monotonic() - started)


def _count(reported: object, estimated: int) -> int:
    return reported if isinstance(reported, int) and reported >= 0 else estimated


def _estimated_tokens(prompt: Prompt) -> int:
    return (len(prompt.system) + len(prompt.user)) // _CHARS_PER_TOKEN


def _failure(error: openai.OpenAIError, now: datetime) -> CallFailure:
    if isinstance(error, openai.APITimeoutError):
        return CallFailure("timeout", "no answer within the timeout")
    if isinstance(error, openai.APIStatusError):
        body = error.body if isinstance(error.body, dict) else {}
        return CallFailure(
            "http",
            f"{body.get('param') or ''} {body.get('message') or error.message}".strip()[:300],
            status=error.status_code,
            code=str(body.get("code") or ""),
            retry_after_s=retry_after_s(error.response.headers, now),
        )
    if isinstance(error, openai.APIConnectionError):
        return CallFailure("connection", f"{type(error.__cause__).__name__}: {error}"[:300])
    return CallFailure("protocol", f"{type(error).__name__}: {error}"[:300])


def _failure_kind(failure: CallFailure) -> str:
    """A value with few variants, for a metric."""
    if failure.status is None:
        return failure.kind
    return "http_429" if failure.status == 429 else f"http_{failure.status // 100}xx"
