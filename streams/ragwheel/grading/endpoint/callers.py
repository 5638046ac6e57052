"""A caller as the settings want it, which begins with the form of request that was learnt."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime

import openai

from ragwheel.backends.telemetry import Telemetry
from ragwheel.grading.endpoint.calls import ChatCaller
from ragwheel.grading.endpoint.memory import LearntShape, first_shape, remember
from ragwheel.grading.endpoint.request import RequestShape
from ragwheel.grading.endpoint.retry import RetryPolicy
from ragwheel.schemas.settings import GraderSettings

_LOG = logging.getLogger(__name__)


def open_caller(
    settings: GraderSettings,
    client: openai.AsyncOpenAI,
    model: str,
    slots: asyncio.Semaphore,
    telemetry: Telemetry,
) -> ChatCaller:
    """A caller of `model` that remembers what its endpoint turns out to take.

    Args:
        slots: shared by all callers of a process: so many requests are in flight at most.
    """
    wished = RequestShape(temperature=settings.llm_temperature)
    about = (settings.llm_base_url, model, wished)
    policy = RetryPolicy(deadline_s=settings.llm_deadline_s)
    caller = ChatCaller(
        client, model, first_shape(settings.llm_cache_dir, *about), policy, slots, telemetry
    )

    def learnt(taken: RequestShape) -> None:
        _LOG.warning("%s is asked with %s: it refused the rest", model, taken)
        remember(settings.llm_cache_dir, LearntShape(*about, taken, datetime.now(UTC)))

    caller.learnt = learnt
    return caller
