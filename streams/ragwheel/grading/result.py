"""What became of one pair, and the label that tells it. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import datetime

from ragwheel.grading.cost import Price
from ragwheel.schemas.events import GradeValue, GradingJob, Label, LabelStatus, Role

_MAX_REASON_CHARS = 500
#: Fields of a label that are those of its job, and of its signature.
_OF_JOB = tuple(Label.model_fields.keys() & GradingJob.model_fields.keys() - {"event", "role"})
_OF_SIGNATURE = ("grader_id", "model", "rubric_version", "prompt_hash")


@dataclass(frozen=True, slots=True)
class PairResult:
    """The definite end of one pair.

    Attributes:
        grade: set exactly when status is graded.
        reason: why there is no grade.
        input_tokens: this pair's share of all calls it was part of, failed ones included.
        latency_ms: of the call that decided.
        attempts: requests that this pair was part of; 0 when nothing was asked.
    """

    status: LabelStatus
    grade: GradeValue | None = None
    reason: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    latency_ms: float = 0.0
    attempts: int = 0

    def reused(self) -> PairResult:
        """The same judgment for another job, which pays nothing for it."""
        return replace(self, input_tokens=0, output_tokens=0, latency_ms=0.0, attempts=0)


@dataclass(frozen=True, slots=True)
class Signature:
    """Who judged by what: the part of a label that is the same for a whole job."""

    grader_id: str
    model: str
    rubric_version: str
    prompt_hash: str
    price: Price | None


def label_of(
    job: GradingJob,
    chunk_hash: str,
    label_id: str,
    result: PairResult,
    signature: Signature,
    graded_at: datetime,
    role: Role,
) -> Label:
    """The record for Kafka. `ts` is the job's, so that a replay lands where its first copy did."""
    price = signature.price
    return Label(
        label_id=label_id,
        chunk_hash=chunk_hash,
        role=role,
        **{name: getattr(job, name) for name in _OF_JOB},
        **asdict(replace(result, reason=result.reason[:_MAX_REASON_CHARS])),
        **{name: getattr(signature, name) for name in _OF_SIGNATURE},
        cost_usd=price.cost_usd(result.input_tokens, result.output_tokens) if price else 0.0,
        graded_at=graded_at,
    )
