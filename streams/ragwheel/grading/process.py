"""The grader process: checks, signals, and everything that grading needs, put together."""

from __future__ import annotations

import asyncio
import logging
import tempfile
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from functools import partial
from pathlib import Path
from typing import Any

import faust
from aiokafka.errors import KafkaError  # type: ignore[import-untyped] # it ships no types
from faust.exceptions import ConsumerNotStarted

from ragwheel.backends import kafka, process
from ragwheel.backends.positions import Broker
from ragwheel.backends.publish import AsyncPublisher, Publisher
from ragwheel.backends.spending_log import SpendingLog
from ragwheel.backends.telemetry import Telemetry
from ragwheel.grading import cost
from ragwheel.grading.app import create_app
from ragwheel.grading.asking import rubric_folder
from ragwheel.grading.asking.prompt import PackLimits
from ragwheel.grading.decoys import Decoys
from ragwheel.grading.endpoint.breaker import Breaker
from ragwheel.grading.endpoint.callers import open_caller
from ragwheel.grading.endpoint.probe import open_client, require_models
from ragwheel.grading.grader import LlmGrader
from ragwheel.grading.handling import GradingWorker
from ragwheel.grading.purse import Purse
from ragwheel.grading.quiet import quiet_libraries
from ragwheel.grading.spending import Spending
from ragwheel.grading.store import LabelReader
from ragwheel.grading.window import OrderedWindow
from ragwheel.schemas import identity, metrics
from ragwheel.schemas.budget import UNLIMITED, limit_of
from ragwheel.schemas.errors import ConfigError, TransientError, UnavailableError
from ragwheel.schemas.events import JobRole
from ragwheel.schemas.settings import GraderSettings

_LOG = logging.getLogger(__name__)
_GAUGE_INTERVAL_S = 1.0
#: Between two looks whether the group reads anything.
_GROUP_LOOK_S = 5.0
#: What blocks the event loop for longer has stopped it.
_TURN_S = 60.0
#: A label that is not acknowledged for so long is told in the log and sent again.
_DELIVERY_S = 300.0


def main() -> int:
    """Grade until SIGTERM or SIGINT; returns the exit status."""
    return process.main("grader", GraderSettings, lambda *given: asyncio.run(run(*given)))


async def run(settings: GraderSettings, telemetry: Telemetry) -> None:
    """Check everything, then grade until a signal. Without a key, only wait for the signal.

    Raises:
        ConfigError: a setting is wrong; the message names it.
        UnavailableError: Kafka or the LLM do not answer at the start, or topics are missing.
        TransientError: the stream crashed; nothing is lost, start again.
    """
    quiet_libraries()
    stop = asyncio.Event()
    process.on_stop(stop.set)
    if not settings.llm_api_key.get_secret_value():
        await _wait_unconfigured(settings, telemetry, stop)
        return
    if settings.llm_model == settings.judge_model:
        raise ConfigError(
            f"RAGWHEEL_JUDGE_MODEL is {settings.judge_model!r}, which also makes the training "
            "labels; choose another model, or promotions are judged by their own teacher"
        )
    rubrics = rubric_folder.load(settings.rubric_dir)
    limit = limit_of(settings.daily_budget_usd, settings.daily_budget_tokens)
    prices = cost.load_prices(settings.prices_file)
    for model in (settings.llm_model, settings.judge_model):
        if cost.price_of(model, prices, settings.daily_budget_usd or None) is None:
            _LOG.warning("model %r has no price: its cost counts as 0", model)
    client = open_client(settings)
    kafka.require_topics(settings, ("grading", "labels", "spending", "deadletters"))
    await require_models(client, settings.llm_base_url, settings.llm_model, settings.judge_model)

    telemetry.set(metrics.GRADER_CONFIGURED, 1)
    telemetry.set(metrics.BUDGET_USD, settings.daily_budget_usd)
    telemetry.set(metrics.BUDGET_TOKENS, settings.daily_budget_tokens)
    _tell_who_grades({"label": settings.llm_model, "judge": settings.judge_model}, telemetry)
    telemetry.serve(settings)
    with ExitStack() as stack:
        store = stack.enter_context(LabelReader(settings))
        results = stack.enter_context(AsyncPublisher(Publisher(settings, timeout_s=_DELIVERY_S)))
        data_dir = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ragwheel-grader-")))
        await store.check()
        purse = None
        if limit != UNLIMITED:
            purse = Purse(limit, stack.enter_context(closing(SpendingLog(settings))))
        spending = Spending(prices, telemetry, purse)
        limits = PackLimits(
            settings.llm_passages_per_call,
            settings.llm_tokens_per_call,
            settings.llm_tokens_per_passage,
        )
        slots = asyncio.Semaphore(settings.llm_concurrency)
        decoys = Decoys(store, settings.grader_decoys, telemetry)

        callers = {
            model: open_caller(settings, client, model, slots, telemetry)
            for model in (settings.llm_model, settings.judge_model)
        }

        def grader(model: str) -> LlmGrader:
            return LlmGrader(
                callers[model],
                rubrics,
                store,
                spending,
                telemetry,
                limits=limits,
                parameters={"temperature": settings.llm_temperature},
                decoys=decoys if settings.grader_decoys else None,
            )

        labeler = grader(settings.llm_model)
        graders: dict[JobRole, LlmGrader] = {
            "label": labeler,
            "judge": grader(settings.judge_model),
            "second": labeler,
        }
        worker = GradingWorker(graders, results, store.forgotten)
        window = OrderedWindow(settings.grader_window, time.monotonic)
        breakers = [caller.breaker for caller in callers.values()]
        for breaker in breakers:
            breaker.changed = partial(_admit, window, breakers)
        app = create_app(settings, worker.handle, window, data_dir)
        gauges = asyncio.create_task(_show(window, spending, purse, telemetry))
        try:
            await _serve(app, window, stop, partial(_watch_group, settings, app))
        finally:
            gauges.cancel()
            for breaker in breakers:
                await breaker.close()
            if purse is not None:
                await purse.close()
            await client.close()


def _admit(window: OrderedWindow, breakers: Sequence[Breaker]) -> None:
    """No job starts while no model can be asked; while one can, its jobs are worth it."""
    window.admit(any(breaker.is_closed for breaker in breakers))


async def _wait_unconfigured(
    settings: GraderSettings, telemetry: Telemetry, stop: asyncio.Event
) -> None:
    """No key is a choice, not a fault: jobs wait in Kafka until a grader starts that has one.

    The environment of a process does not change, so there is nothing to look at again; whoever
    sets the key starts the grader anew. A key that is refused is a fault, and ends the process.
    """
    _LOG.warning(
        "RAGWHEEL_LLM_API_KEY is not set: nothing is graded, sampled queries wait in Kafka. Set it "
        '("none" for a server that wants no key) and start the grader again'
    )
    telemetry.serve(settings)
    while not stop.is_set():
        telemetry.turned(_TURN_S)
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), _GAUGE_INTERVAL_S)


def _tell_who_grades(models: Mapping[JobRole, str], telemetry: Telemetry) -> None:
    for role, model in models.items():
        stand_in = identity.is_stand_in(model)
        telemetry.set(metrics.STAND_IN, stand_in, role=role, model=model)
        if stand_in:
            _LOG.warning("%r grades as %s: a stand-in, no LLM", model, role)


async def _watch_group(settings: GraderSettings, app: faust.App) -> BaseException:
    """Returns once the group is at rest and none of its members was given anything to read.

    A worker that joins while the broker is coming back may be told that the topic does not exist;
    Faust then hands out no partition and never asks again. Who has partitions does not ask the
    broker: librdkafka 2.16 ends the process when a broker dies while it describes a group.
    """
    seen = 0
    with Broker(settings) as broker:
        while seen < 2:
            await asyncio.sleep(_GROUP_LOOK_S)
            try:
                idle = not _reads(app) and await asyncio.to_thread(
                    broker.reads_nothing, settings.grader_group
                )
            except UnavailableError:
                idle = False
            seen = seen + 1 if idle else 0
    return UnavailableError("the group was given no partition to read")


def _reads(app: faust.App) -> bool:
    """Whether this process was given a partition."""
    try:
        return bool(app.consumer.assignment())
    except ConsumerNotStarted:
        return False


async def _serve(
    app: faust.App,
    window: OrderedWindow,
    stop: asyncio.Event,
    watch: Callable[[], Coroutine[Any, Any, BaseException]],
) -> None:
    """Run `app` until `stop`, its crash, work that raised, or `watch`; then stop it in order."""
    try:
        await app.start()
    except KafkaError as error:  # the broker went away between our look and Faust's
        raise UnavailableError(f"Kafka does not answer ({error}); start the grader again") from None
    broken = asyncio.create_task(window.wait_broken())
    crashed = asyncio.create_task(app.wait_until_stopped())
    idle = asyncio.create_task(watch())
    endings = {asyncio.create_task(stop.wait()), broken, crashed, idle}
    await asyncio.wait(endings, return_when=asyncio.FIRST_COMPLETED)
    reason = next((task.result() for task in (broken, idle) if task.done()), app.crash_reason)
    orderly = stop.is_set() and reason is None
    for task in endings:
        task.cancel()
    await app.stop()
    if not orderly:
        raise TransientError(f"the stream stopped ({reason!r}); start the grader again")


async def _show(
    window: OrderedWindow, spending: Spending, purse: Purse | None, telemetry: Telemetry
) -> None:
    while True:
        telemetry.turned(_TURN_S)
        telemetry.set(metrics.JOBS_IN_FLIGHT, len(window))
        telemetry.set(metrics.OLDEST_UNACKED, window.oldest_age_s())
        # Here and not only when money is spent: after midnight an idle grader has spent nothing.
        telemetry.set(metrics.SPENT_TODAY_USD, spending.today_usd())
        if purse is not None:
            claimed = purse.claimed_today()
            telemetry.set(metrics.CLAIMED_TODAY_USD, claimed.usd)
            telemetry.set(metrics.CLAIMED_TODAY_TOKENS, claimed.tokens)
            telemetry.set(metrics.PURSE_EMPTY, purse.empty)
        await asyncio.sleep(_GAUGE_INTERVAL_S)
