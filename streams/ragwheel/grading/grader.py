"""`LlmGrader`: a job in, one label per (query, chunk) out. Knows no Kafka and no Faust."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from typing import Protocol

from ragwheel.backends.telemetry import Telemetry
from ragwheel.grading.asking.prompt import PackLimits, Passage, template_hash
from ragwheel.grading.asking.rubric import Rubric, Rubrics
from ragwheel.grading.endpoint.calls import Clock, Completer
from ragwheel.grading.flight import SingleFlight
from ragwheel.grading.result import PairResult, Signature, label_of
from ragwheel.grading.rounds import Question, judge
from ragwheel.grading.spending import Spending
from ragwheel.schemas import identity, metrics
from ragwheel.schemas.events import GradeValue, GradingJob, Label

_LOG = logging.getLogger(__name__)

#: Rounds of asking for a pair that is answered badly; repeats of failed requests do not count.
ROUNDS = 3
#: Grades remembered in memory, about 300 bytes each.
REMEMBERED = 200_000
#: Chunks travel on their own topic and may land after the job that names them, seconds.
TEXT_WAIT_S = 30.0
_TEXT_POLL_S = 1.0


class LabelStore(Protocol):
    """Where earlier labels and chunk texts can be read.

    Methods never raise. An unreachable store may answer `graded` with less, which costs money and
    loses nothing, because label rows are idempotent.
    """

    async def graded(self, query_hash: str, label_ids: Collection[str]) -> Mapping[str, GradeValue]:
        """Grades of those labels of this query that are `graded`."""

    async def texts(self, chunk_hashes: Collection[str]) -> Mapping[str, str]:
        """Texts of those chunks that are known. May wait for an unreachable store."""


@dataclass(eq=False)
class LlmGrader:
    """Grades jobs with one model.

    `grade` never raises (cancellation aside) and gives every distinct chunk of a job exactly one
    label with a definite status. A pair that this process graded, is grading, or finds graded in
    the store is not asked again.

    Attributes:
        parameters: what besides model, prompt and packing can change a grade.
    """

    completer: Completer
    rubrics: Rubrics
    store: LabelStore
    spending: Spending
    telemetry: Telemetry
    limits: PackLimits = field(kw_only=True)
    parameters: Mapping[str, object] = field(kw_only=True)
    text_wait_s: float = TEXT_WAIT_S
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self._flight: SingleFlight[PairResult] = SingleFlight(REMEMBERED)
        self._absent: dict[str, None] = {}
        parameters = {**self.parameters, "packing": asdict(self.limits)}
        self.prompt_hash = template_hash()
        self.grader_id = identity.grader_id(self.completer.model, parameters, self.prompt_hash)

    async def grade(self, job: GradingJob) -> list[Label]:
        """One label per distinct chunk of `job`, in the job's order."""
        rubric = self.rubrics.of(job.segment)
        chunk_of_label = {
            identity.label_id(
                job.query_hash, chunk_hash, rubric.version, self.grader_id, job.role
            ): chunk_hash
            for chunk_hash in dict.fromkeys(each.chunk_hash for each in job.candidates)
        }
        results = await self._results(job, rubric, chunk_of_label)
        model = self.completer.model
        signature = Signature(
            self.grader_id, model, rubric.version, self.prompt_hash, self.spending.price_of(model)
        )
        graded_at = self.clock.now()
        self._count(job, results)
        return [
            label_of(job, chunk_hash, label_id, results[label_id], signature, graded_at)
            for label_id, chunk_hash in chunk_of_label.items()
        ]

    async def _results(
        self, job: GradingJob, rubric: Rubric, chunk_of_label: dict[str, str]
    ) -> dict[str, PairResult]:
        """Divide the pairs into remembered, somebody else's and ours; ours come first."""
        results: dict[str, PairResult] = {}
        while len(results) < len(chunk_of_label):
            claim = self._flight.claim(each for each in chunk_of_label if each not in results)
            results |= {label_id: known.reused() for label_id, known in claim.known.items()}
            mine = {label_id: chunk_of_label[label_id] for label_id in claim.mine}
            try:
                results |= await self._decide(job, rubric, mine)
            finally:
                for label_id in mine:
                    made = results.get(label_id)
                    if made is not None:
                        self._flight.settle(label_id, made, remember=made.status == "graded")
                self._flight.release(mine)
            if claim.others:
                await asyncio.wait(claim.others.values())
            shared = {
                label_id: future.result().reused()
                for label_id, future in claim.others.items()
                if not future.cancelled()  # its task was stopped: claim again
            }
            results |= shared
            reused = len(claim.known) + len(shared)
            self.telemetry.inc(metrics.LABEL_CACHE_HITS, reused, source="memory")
        return results

    async def _decide(
        self, job: GradingJob, rubric: Rubric, chunk_of_label: dict[str, str]
    ) -> dict[str, PairResult]:
        if not chunk_of_label:
            return {}
        try:
            return await self._look_up_or_ask(job, rubric, chunk_of_label)
        except Exception as error:  # noqa: BLE001 - process edge: a bug must not stop the stream
            _LOG.exception("grading job %s failed", job.job_id)
            failed = PairResult("failed", reason=f"internal error: {type(error).__name__}")
            return dict.fromkeys(chunk_of_label, failed)

    async def _look_up_or_ask(
        self, job: GradingJob, rubric: Rubric, chunk_of_label: dict[str, str]
    ) -> dict[str, PairResult]:
        stored = await self.store.graded(job.query_hash, chunk_of_label)
        self.telemetry.inc(metrics.LABEL_CACHE_HITS, len(stored), source="store")
        results = {label_id: PairResult("graded", grade) for label_id, grade in stored.items()}
        label_of_chunk = {
            chunk_hash: label_id
            for label_id, chunk_hash in chunk_of_label.items()
            if label_id not in stored
        }
        passages = await self._passages(job, set(label_of_chunk))
        judged = await judge(
            self.completer,
            Question(rubric, job.query, job.query_hash),
            passages,
            self.limits,
            rounds=ROUNDS,
            spending=self.spending,
        )
        no_text = PairResult(
            "failed", reason="no text: the chunk was neither in the job nor stored"
        )
        for chunk_hash, label_id in label_of_chunk.items():
            results[label_id] = judged.get(chunk_hash, no_text)
        return results

    async def _passages(self, job: GradingJob, wanted: set[str]) -> list[Passage]:
        texts = {each.chunk_hash: each.text for each in job.candidates if each.text is not None}
        texts = {chunk_hash: text for chunk_hash, text in texts.items() if chunk_hash in wanted}
        deadline = self.clock.monotonic() + self.text_wait_s
        while missing := wanted - texts.keys():
            texts |= await self.store.texts(missing)
            missing -= texts.keys()
            # A chunk that was waited for in vain once is not waited for again: one service that
            # never sends its texts must not slow down all others.
            if missing <= self._absent.keys():
                break
            if self.clock.monotonic() >= deadline:
                self._absent |= dict.fromkeys(missing)
                break
            await self.clock.sleep(_TEXT_POLL_S)
        for chunk_hash in texts:
            self._absent.pop(chunk_hash, None)
        while len(self._absent) > REMEMBERED:
            self._absent.pop(next(iter(self._absent)))
        return [Passage(chunk_hash, text) for chunk_hash, text in texts.items()]

    def _count(self, job: GradingJob, results: Mapping[str, PairResult]) -> None:
        segment = self.telemetry.bounded("segment", job.segment, f"query {job.query_id}")
        about = {"role": job.role, "segment": segment}
        for status, count in Counter(each.status for each in results.values()).items():
            self.telemetry.inc(metrics.LABELS, count, status=status, **about)
        grades = Counter(each.grade for each in results.values() if each.grade is not None)
        for grade, count in grades.items():
            self.telemetry.inc(metrics.GRADES, count, grade=str(grade), **about)
