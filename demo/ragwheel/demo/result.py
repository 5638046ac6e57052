"""Everything a demo run found out, as values: the table and the report are made from this alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

System = Literal["incumbent", "candidate"]
#: The segment that stands for all traffic.
ALL_SEGMENTS = "*"


@dataclass(frozen=True, slots=True)
class TopicAccount:
    """What became of a topic's messages.

    Attributes:
        produced: messages that the broker holds or held.
        sent: messages that this run knows to have sent; None for topics that ragwheel fills itself.
    """

    topic: str
    produced: int
    landed: int
    dead_lettered: int
    in_flight: int
    unaccounted: int
    sent: int | None = None


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

    role: str
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
class Interval:
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float


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
    def name(self) -> str:
        """`recall@10`, `MRR@10`."""
        return f"{'MRR' if self.metric == 'mrr' else self.metric}@{self.k}"

    @property
    def relative(self) -> float:
        """Improvement relative to before; 0 when there was nothing to improve on."""
        return self.delta.value / self.before.value if self.before.value else 0.0


@dataclass(frozen=True, slots=True)
class RankShift:
    """Where the right chunk of a held-out question stood, and stands now. 1 is the top."""

    query: str
    chunk_id: str
    segment: str
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gate said."""

    action: str
    reason: str
    model_id: str
    incumbent_id: str
    triplets: int
    labels: int
    held_out: int


@dataclass(frozen=True, slots=True)
class DeadLetterSample:
    """One reason for which events were set aside."""

    topic: str
    reason: str
    count: int
    detail: str


@dataclass(frozen=True, slots=True)
class Step:
    """How long one step of the run took."""

    name: str
    seconds: float


@dataclass(frozen=True, slots=True)
class TimedStep:
    """How much is left at one stage of the way from searches to training."""

    name: str
    count: int
    note: str = ""


@dataclass(frozen=True, slots=True)
class DemoResult:
    """One finished run.

    Attributes:
        chunks: size of the index.
        judged: what the gate measured with the judge's labels.
        truth: the same metrics by what the demo knows and the product does not: the function that
            each held-out question was written for.
        shifts: every held-out question, by the truth.
        prometheus: recall@10 as scraped from the trainer's /metrics: incumbent, candidate.
        grader: what graded, in words.
        problems: why the run counts as failed; empty when all went well.
    """

    started_at: datetime
    scale: str
    seed: int
    grader: str
    chunks: int
    funnel: Sequence[TimedStep]
    accounts: Sequence[TopicAccount]
    dead_letters: Sequence[DeadLetterSample]
    labels: Sequence[LabelSummary]
    judged: Sequence[Comparison]
    truth: Sequence[Comparison]
    shifts: Sequence[RankShift]
    verdict: Verdict | None
    prometheus: tuple[float, float] | None
    steps: Sequence[Step]
    search_latency_ms: tuple[float, float] = (0.0, 0.0)
    problems: Sequence[str] = field(default_factory=tuple)

    @property
    def seconds(self) -> float:
        """Duration of the whole run."""
        return sum(step.seconds for step in self.steps)

    def of(
        self, kind: Literal["judged", "truth"], metric: str, k: int, segment: str = ALL_SEGMENTS
    ) -> Comparison | None:
        """One comparison, or None where it was not measured."""
        rows = self.judged if kind == "judged" else self.truth
        for row in rows:
            if (row.metric, row.k, row.segment) == (metric, k, segment):
                return row
        return None
