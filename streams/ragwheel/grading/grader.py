"""`LlmGrader`: a job in, one label per (query, chunk) out. Knows no Kafka and no Faust."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from typing import Protocol

from ragwheel.backends.telemetry import Telemetry
from ragwheel.grading.asking.prompt import PackLimits, Passage, pack, template_hash
from ragwheel.grading.asking.rubric import Rubric, Rubrics
from ragwheel.grading.decoys import Decoys
from ragwheel.grading.endpoint.calls import Completer
from ragwheel.grading.endpoint.timing import Clock
from ragwheel.grading.flight import SingleFlight
from ragwheel.grading.result import PairResult, Signature, label_of
from ragwheel.grading.rounds import Question, judge
from ragwheel.grading.spending import Spending
from ragwheel.schemas import identity, metrics
from ragwheel.schemas.events import GradeValue, GradingJob, Label, Role

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


@dataclass(frozen=True, slots=True)
class _Work:
    """A job on its way to labels.

    Attributes:
        grader_id: of the request's form that was in force when the job began.
        decoys: label id → chunk and result of what was asked beside the job's own chunks.
    """

    job: GradingJob
    rubric: Rubric
    grader_id: str
    decoys: dict[str, tuple[str, PairResult]] = field(default_factory=dict)

    def label_id(self, chunk_hash: str, role: Role) -> str:
        """Of a chunk of this job."""
        asked_by = self.rubric.version_for(self.job)
        return identity.label_id(self.job.query_hash, chunk_hash, asked_by, self.grader_id, role)


@dataclass(eq=False)
class LlmGrader:
    """Grades jobs with one model, and is measured by decoys while it does.

    `grade` never raises (cancellation aside) and gives every distinct chunk of a job exactly one
    label with a definite status. A pair that this process graded, is grading, or finds graded in
    the store is not asked again.

    Attributes:
        parameters: what besides model, prompt, packing and decoys can change a grade.
        decoys: none are drawn where it is None.
    """

    completer: Completer
    rubrics: Rubrics
    store: LabelStore
    spending: Spending
    telemetry: Telemetry
    limits: PackLimits = field(kw_only=True)
    parameters: Mapping[str, object] = field(kw_only=True)
    decoys: Decoys | None = None
    text_wait_s: float = TEXT_WAIT_S
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self._flight: SingleFlight[PairResult] = SingleFlight(REMEMBERED)
        self._absent: dict[str, None] = {}
        self._decoys_per_call = self.decoys.per_call if self.decoys else 0
        # What stands beside a passage may colour its grade.
        beside = {"packing": asdict(self.limits), "decoys": self._decoys_per_call}
        self._all_parameters = {**self.parameters, **beside}
        self.prompt_hash = template_hash()

    @property
    def grader_id(self) -> str:
        """Who grades: model, parameters, prompt, and the form of request that the server takes."""
        parameters = {**self._all_parameters, "form": self.completer.form}
        return identity.grader_id(self.completer.model, parameters, self.prompt_hash)

    async def grade(self, job: GradingJob) -> list[Label]:
        """One label per distinct chunk of `job`, in the job's order; then those of its decoys.

        If the form of the requests changes meanwhile, because the server refused a part of it, some
        grades are of one grader and some of another: then the job is graded anew by the latter.
        """
        rubric = self.rubrics.of(job.segment)
        while True:
            work = _Work(job, rubric, self.grader_id)
            chunk_of_label = {
                work.label_id(chunk_hash, job.role): chunk_hash
                for chunk_hash in dict.fromkeys(each.chunk_hash for each in job.candidates)
            }
            results = await self._results(work, chunk_of_label)
            if work.grader_id == self.grader_id:
                return self._labels(work, chunk_of_label, results)
            _LOG.warning("job %s is graded anew by %s", job.job_id, self.grader_id)

    def _labels(
        self, work: _Work, chunk_of_label: dict[str, str], results: Mapping[str, PairResult]
    ) -> list[Label]:
        job, model = work.job, self.completer.model
        signature = Signature(
            work.grader_id, model, work.rubric.version, self.prompt_hash,
            self.spending.price_of(model),
        )  # fmt: skip
        graded_at = self.clock.now()
        self._count(job, results)
        made = [
            label_of(job, chunk_hash, label_id, results[label_id], signature, graded_at, job.role)
            for label_id, chunk_hash in chunk_of_label.items()
        ]
        return made + [
            label_of(job, chunk_hash, label_id, result, signature, graded_at, "decoy")
            for label_id, (chunk_hash, result) in work.decoys.items()
        ]

    async def _results(self, work: _Work, chunk_of_label: dict[str, str]) -> dict[str, PairResult]:
        """Divide the pairs into remembered, somebody else's and ours; ours come first."""
        results: dict[str, PairResult] = {}
        while len(results) < len(chunk_of_label):
            claim = self._flight.claim(each for each in chunk_of_label if each not in results)
            results |= {label_id: known.reused() for label_id, known in claim.known.items()}
            mine = {label_id: chunk_of_label[label_id] for label_id in claim.mine}
            try:
                results |= await self._decide(work, mine)
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

    async def _decide(self, work: _Work, chunk_of_label: dict[str, str]) -> dict[str, PairResult]:
        if not chunk_of_label:
            return {}
        try:
            return await self._look_up_or_ask(work, chunk_of_label)
        except Exception as error:  # noqa: BLE001 - process edge: a bug must not stop the stream
            _LOG.exception("grading job %s failed", work.job.job_id)
            failed = PairResult("failed", reason=f"internal error: {type(error).__name__}")
            return dict.fromkeys(chunk_of_label, failed)

    async def _look_up_or_ask(
        self, work: _Work, chunk_of_label: dict[str, str]
    ) -> dict[str, PairResult]:
        job = work.job
        stored = await self.store.graded(job.query_hash, chunk_of_label)
        self.telemetry.inc(metrics.LABEL_CACHE_HITS, len(stored), source="store")
        results = {label_id: PairResult("graded", grade) for label_id, grade in stored.items()}
        label_of_chunk = {
            chunk_hash: label_id
            for label_id, chunk_hash in chunk_of_label.items()
            if label_id not in stored
        }
        passages = await self._passages(job, set(label_of_chunk))
        judged = await self._ask(work, passages)
        no_text = PairResult(
            "failed", reason="no text: the chunk was neither in the job nor stored"
        )
        for chunk_hash, label_id in label_of_chunk.items():
            results[label_id] = judged.get(chunk_hash, no_text)
        return results

    async def _ask(self, work: _Work, passages: list[Passage]) -> Mapping[str, PairResult]:
        """Results of the passages by chunk; adds those of the decoys that were asked with them.

        A decoy that the job had before (a replay) is not asked again, nor another in its place.
        """
        job, rubric = work.job, work.rubric
        # A second look must not show the same neighbours in the same order again.
        order = f"second {job.query_hash}" if job.role == "second" else job.query_hash
        drawn = await self._draw(work, passages, order)
        by_label = {work.label_id(each.chunk_hash, "decoy"): each for each in drawn}
        claim = self._flight.claim(by_label)
        results = {label_id: known.reused() for label_id, known in claim.known.items()}
        try:
            stored = await self.store.graded(job.query_hash, claim.mine) if claim.mine else {}
            results |= {each: PairResult("graded", grade) for each, grade in stored.items()}
            fresh = [by_label[label_id] for label_id in claim.mine if label_id not in stored]
            judged = await judge(
                self.completer,
                Question(rubric, job.query, order, rubric.context_of(job)),
                passages,
                self.limits,
                rounds=ROUNDS,
                spending=self.spending,
                decoys=fresh,
            )
            asked = {label_id: judged.get(by_label[label_id].chunk_hash) for label_id in claim.mine}
            # What no request held says nothing: no label, and nobody is owed one.
            results |= {each: made for each, made in asked.items() if made and made.attempts}
        finally:
            for label_id in claim.mine:
                done = results.get(label_id)
                if done is not None and done.status == "graded":
                    self._flight.settle(label_id, done, remember=True)
            self._flight.release(claim.mine)
        if self.decoys:
            self.decoys.count(job, [each for each in results.values() if each.attempts])
        for label_id, made in results.items():
            work.decoys[label_id] = by_label[label_id].chunk_hash, made
        return judged

    async def _draw(self, work: _Work, passages: list[Passage], order: str) -> list[Passage]:
        job = work.job
        if self.decoys is None or not self._decoys_per_call or job.role == "second":
            return []
        calls = sum(1 for _ in pack(passages, self.limits, order, 1))

        def under_way(chunk_hash: str) -> bool:
            return work.label_id(chunk_hash, job.role) in self._flight

        return await self.decoys.draw(job, calls * self._decoys_per_call, under_way)

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
