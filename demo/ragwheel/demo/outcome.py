"""Everything a demo run found out, as values: the table and the report are made from this alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

import orjson

from ragwheel.accounting.accounts import TopicAccount
from ragwheel.measuring.intervals import Interval
from ragwheel.schemas.events import ModelEvent, Role
from ragwheel.schemas.topics import TopicName
from ragwheel.trainers.proof.evaluation import ALL_SEGMENTS, RankShift

#: What is shown of the quality, in its order.
METRICS = (("recall", 1), ("recall", 5), ("recall", 10), ("mrr", 10))
#: The improvement that a run has to show.
DECISIVE = ("recall", 10)


@dataclass(frozen=True, slots=True)
class LabelSummary:
    """The labels of one role.

    Attributes:
        role: `label` trains, `judge` decides.
        by_status: labels per status; only `graded` has a grade.
        by_grade: labels per grade 0-3.
        cost_usd: by the price table, for labels that were paid for.
        cached_pairs: pairs that were asked for again and cost nothing.
        seconds: from the first to the last of these labels.
    """

    role: Role
    by_status: Mapping[str, int]
    by_grade: Mapping[int, int]
    cost_usd: float
    cached_pairs: int
    seconds: float

    @property
    def total(self) -> int:
        """Labels of any status."""
        return sum(self.by_status.values())


@dataclass(frozen=True, slots=True)
class Comparison:
    """One metric of the model in service and of the candidate, on the same queries.

    Attributes:
        metric: `recall` or `mrr`.
        k: cut-off.
        segment: `*` is everything.
        delta: of paired queries, hence narrower than the two intervals suggest.
    """

    metric: str
    k: int
    segment: str
    before: Interval
    after: Interval
    delta: Interval
    queries: int

    @property
    def key(self) -> tuple[str, int, str]:
        """What was measured: metric, cut-off and segment."""
        return self.metric, self.k, self.segment

    @property
    def name(self) -> str:
        """`recall@10`, `MRR@10`."""
        return f"{'MRR' if self.metric == 'mrr' else self.metric}@{self.k}"

    @property
    def group(self) -> str:
        """The segment, as people call it."""
        return "all" if self.segment == ALL_SEGMENTS else self.segment

    @property
    def relative(self) -> float:
        """Improvement relative to before; 0 when there was nothing to improve on."""
        return self.delta.value / self.before.value if self.before.value else 0.0


def overall(rows: Sequence[Comparison]) -> Comparison | None:
    """The decisive metric over all segments, None where it was not measured."""
    return next((row for row in rows if row.key == (*DECISIVE, ALL_SEGMENTS)), None)


@dataclass(frozen=True, slots=True)
class DeadLetterSample:
    """One reason for which events were set aside."""

    topic: str
    reason: str
    count: int
    detail: str


@dataclass(frozen=True, slots=True)
class RankedChunk:
    """One result of a search; `right`: it is the function that the question was written for."""

    chunk_id: str
    score: float
    right: bool


@dataclass(frozen=True, slots=True)
class ServedSearch:
    """One held-out question, answered by the server over HTTP when the verdict had been settled.

    Attributes:
        model_id: what answered, by the answer's header.
        expected: what ought to.
        promoted: whether that was promoted in this run; otherwise it is the base model.
        documents_match: the server compares with documents of the space that the index holds.
        before: the first results with the base model's vector.
        after: the first results with the server's, among the same vectors of documents.
    """

    query: str
    model_id: str
    expected: str
    promoted: bool
    documents_match: bool
    before: Sequence[RankedChunk]
    after: Sequence[RankedChunk]

    @property
    def in_words(self) -> str:
        """Who answers."""
        if self.model_id != self.expected:
            return f"{self.model_id} answers, and {self.expected} ought to"
        if self.promoted:
            return f"model {self.model_id} answers, which this run promoted"
        return "nothing was promoted, so the base model answers as before"


@dataclass(frozen=True, slots=True)
class Step:
    """How long one step of the run took."""

    name: str
    seconds: float


@dataclass(frozen=True, slots=True)
class FunnelStage:
    """How much is left at one stage of the way from searches to training."""

    name: str
    count: int
    note: str = ""


@dataclass(frozen=True, slots=True)
class DemoResult:
    """One finished run.

    Attributes:
        chunks: size of the index.
        sent: messages that this run knows to have sent, per topic; ragwheel fills the others.
        judged: what the gate measured with the judge's labels; all segments together come first.
        truth: the same metrics by what the demo knows and the product does not: the function that
            each held-out question was written for.
        shifts: every held-out question, by the truth.
        chunk_ids: names of the chunks in `shifts`, by hash.
        verdict: what the trainer announced, None when it did not.
        prometheus: recall@10 as scraped from the trainer's /metrics: incumbent, candidate.
        search_latency_ms: median, and what 95 % of the searches stay under.
        grader: what graded, in words.
        served: a question answered over HTTP, None when the server did not answer.
        problems: why the run counts as failed; empty when all went well.
    """

    started_at: datetime
    scale: str
    seed: int
    grader: str
    chunks: int
    funnel: Sequence[FunnelStage]
    sent: Mapping[TopicName, int]
    accounts: Sequence[TopicAccount]
    dead_letters: Sequence[DeadLetterSample]
    labels: Sequence[LabelSummary]
    judged: Sequence[Comparison]
    truth: Sequence[Comparison]
    shifts: Sequence[RankShift]
    chunk_ids: Mapping[str, str]
    verdict: ModelEvent | None
    prometheus: tuple[float, float] | None
    steps: Sequence[Step] = ()
    search_latency_ms: tuple[float, float] = (0.0, 0.0)
    served: ServedSearch | None = None
    problems: Sequence[str] = ()

    @property
    def seconds(self) -> float:
        """Duration of the whole run."""
        return sum(step.seconds for step in self.steps)

    def true(self, row: Comparison) -> Comparison | None:
        """The same metric in the same segment by the truth."""
        return next((each for each in self.truth if each.key == row.key), None)

    def as_json(self) -> bytes:
        """All figures, for programs."""
        values = {name: getattr(self, name) for name in self.__slots__}
        values["accounts"] = [
            {**asdict(row), "unaccounted": row.unaccounted, "sent": self.sent.get(row.topic)}
            for row in self.accounts
        ]
        values["verdict"] = self.verdict and self.verdict.model_dump(mode="json")
        return orjson.dumps(values, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS)
