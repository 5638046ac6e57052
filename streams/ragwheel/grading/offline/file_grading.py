"""The worker's engine over the jobs of a file: asks and keeps, or only says what it would ask."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field

import orjson

from ragwheel.backends.telemetry import Telemetry
from ragwheel.grading import cost
from ragwheel.grading.asking import rubric_folder
from ragwheel.grading.asking.prompt import PackLimits, Prompt
from ragwheel.grading.asking.token_estimate import count_tokens
from ragwheel.grading.decoys import Decoys
from ragwheel.grading.endpoint.callers import open_caller
from ragwheel.grading.endpoint.calls import CallOutcome, ChatCaller, Completer, Completion
from ragwheel.grading.endpoint.memory import first_shape
from ragwheel.grading.endpoint.probe import open_client, require_models
from ragwheel.grading.endpoint.request import RequestShape
from ragwheel.grading.grader import LlmGrader
from ragwheel.grading.offline.job_lines import FileJob
from ragwheel.grading.offline.label_file import LabelFile
from ragwheel.grading.offline.run_money import RunMoney
from ragwheel.grading.spending import Spending
from ragwheel.schemas.budget import UNLIMITED, limit_of
from ragwheel.schemas.errors import UnavailableError
from ragwheel.schemas.events import Label
from ragwheel.schemas.settings import GraderSettings

#: Tokens of `{"id": "abcd", "grade": 2}` and what stands around it.
_ANSWER_TOKENS = 14


@dataclass(frozen=True, slots=True)
class PlannedCall:
    """A call as it would be sent; tokens are estimated."""

    passages: int
    input_tokens: int
    output_tokens: int
    system: str
    user: str


@dataclass(frozen=True, slots=True)
class GradePlan:
    """What grading a file would ask, if every answer is right at once.

    Attributes:
        cost_usd: None where the model has no price.
    """

    model: str
    queries: int
    input_tokens: int
    output_tokens: int
    cost_usd: float | None
    calls: tuple[PlannedCall, ...]


@dataclass(frozen=True, slots=True)
class GradeReport:
    """What became of a file.

    Attributes:
        pairs: distinct pairs of query and chunk, by the status of their labels.
        reused: pairs among them that the file of labels had.
        complete: every pair is graded.
    """

    to: str
    model: str
    queries: int
    pairs: dict[str, int]
    reused: int
    cost_usd: float
    complete: bool


@dataclass
class _Recorder:
    """A `Completer` that calls nobody: keeps each prompt and answers that nothing is relevant."""

    model: str
    form: Mapping[str, object]
    calls: list[PlannedCall] = field(default_factory=list)

    async def complete(self, prompt: Prompt) -> CallOutcome:
        """The answer that asks for no second round."""
        tokens = count_tokens(prompt.system) + count_tokens(prompt.user)
        answer = _ANSWER_TOKENS * len(prompt.chunk_of_id)
        self.calls.append(
            PlannedCall(len(prompt.chunk_of_id), tokens, answer, prompt.system, prompt.user)
        )
        grades = [{"id": each, "grade": 0} for each in prompt.chunk_of_id]
        text = orjson.dumps({"grades": grades}).decode()
        return CallOutcome(Completion("complete", text, tokens, answer, 0.0), tries=1)


async def plan(settings: GraderSettings, jobs: Sequence[FileJob], labels: LabelFile) -> GradePlan:
    """What `grade` would send, by the same code; nobody is called.

    Raises:
        ConfigError: a rubric or the table of prices is wrong.
    """
    wished = RequestShape(temperature=settings.llm_temperature)
    shape = first_shape(settings.llm_cache_dir, settings.llm_base_url, settings.llm_model, wished)
    recorder = _Recorder(settings.llm_model, asdict(shape))
    spending = Spending(cost.load_prices(settings.prices_file), Telemetry())
    engine = _engine(settings, recorder, labels, spending)
    for each in jobs:
        await engine.grade(each.job)
    calls = tuple(recorder.calls)
    input_tokens = sum(each.input_tokens for each in calls)
    output_tokens = sum(each.output_tokens for each in calls)
    price = spending.price_of(settings.llm_model)
    cost_usd = price.cost_usd(input_tokens, output_tokens) if price else None
    return GradePlan(settings.llm_model, len(jobs), input_tokens, output_tokens, cost_usd, calls)


async def grade(
    settings: GraderSettings,
    jobs: Sequence[FileJob],
    labels: LabelFile,
    progress: Callable[[str], None],
) -> tuple[GradeReport, list[Label]]:
    """Grade what the file of labels lacks; returns the labels of all pairs, reused ones too.

    Args:
        progress: told about each hundredth of the queries, or each.

    Raises:
        ConfigError: key, address, model, rubric or price are wrong; nothing was paid.
        UnavailableError: nothing answers, or nothing more; what was graded is kept.
    """
    spending = _spending(settings)
    cost.price_of(settings.llm_model, spending.prices, settings.daily_budget_usd or None)
    made: dict[str, Label] = {}
    async with open_client(settings) as client:
        await require_models(client, settings.llm_base_url, settings.llm_model)
        slots = asyncio.Semaphore(settings.llm_concurrency)
        caller = open_caller(settings, client, settings.llm_model, slots, Telemetry())
        engine = _engine(settings, caller, labels, spending)
        waiting, done = iter(jobs), 0

        async def work() -> None:
            nonlocal done
            for each in waiting:
                found = await engine.grade(each.job)
                labels.add(found)
                made.update({label.label_id: label for label in found if label.role == "label"})
                done += 1
                if done % max(1, len(jobs) // 100) == 0:
                    progress(f"{done}/{len(jobs)} queries, {spending.today_usd():.4f} USD")

        await _until_held(
            caller,
            asyncio.gather(*(work() for _ in range(min(settings.llm_concurrency, len(jobs))))),
        )
    statuses: Counter[str] = Counter(each.status for each in made.values())
    reused = sum(each.status == "graded" and not each.attempts for each in made.values())
    report = GradeReport(
        str(labels.path), settings.llm_model, len(jobs), dict(statuses), reused,
        spending.today_usd(), complete=statuses.keys() <= {"graded"},
    )  # fmt: skip
    return report, list(made.values())


def _spending(settings: GraderSettings) -> Spending:
    limit = limit_of(settings.daily_budget_usd, settings.daily_budget_tokens)
    money = None if limit == UNLIMITED else RunMoney(limit)
    return Spending(cost.load_prices(settings.prices_file), Telemetry(), money)


async def _until_held(caller: ChatCaller, work: asyncio.Future[list[None]]) -> None:
    """Wait for `work`; a person at a prompt does not wait for a key that works again.

    Raises:
        UnavailableError: the endpoint refuses all calls; `work` is stopped.
    """
    held = asyncio.Event()
    caller.breaker.changed = held.set
    refused = asyncio.create_task(held.wait())
    try:
        await asyncio.wait((work, refused), return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            work.result()
            return
        work.cancel()
        with suppress(asyncio.CancelledError):
            await work
    finally:
        refused.cancel()
        await caller.breaker.close()
    raise UnavailableError(
        f"{caller.model} takes no calls ({caller.breaker.circuit.detail}): what was "
        "graded is kept; run the same command again when it does"
    )


def _engine(
    settings: GraderSettings, completer: Completer, labels: LabelFile, spending: Spending
) -> LlmGrader:
    telemetry = Telemetry()
    decoys = Decoys(labels, settings.grader_decoys, telemetry)
    return LlmGrader(
        completer,
        rubric_folder.load(settings.rubric_dir),
        labels,
        spending,
        telemetry,
        limits=PackLimits(
            settings.llm_passages_per_call,
            settings.llm_tokens_per_call,
            settings.llm_tokens_per_passage,
        ),
        parameters={"temperature": settings.llm_temperature},
        decoys=decoys if settings.grader_decoys else None,
        text_wait_s=0.0,
    )
