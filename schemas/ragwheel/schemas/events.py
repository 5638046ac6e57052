"""The closed family of events and records that travel through Kafka.

Each model is frozen and tagged by `event`; `schema_version` changes when an old reader could
misread a new event. Unknown fields are kept (`extra="allow"`): they reach the archive unharmed, so
a service may send more than this version knows. Names map onto OpenTelemetry GenAI retrieval
spans, OpenInference and OpenSearch UBI; docs/event-mapping.md holds the table.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    field_validator,
    model_validator,
)

from ragwheel.schemas import identity, limits

SCHEMA_VERSION = 1

Id = Annotated[str, StringConstraints(min_length=1, max_length=limits.MAX_ID_CHARS)]
Name = Annotated[str, StringConstraints(max_length=limits.MAX_NAME_CHARS)]
ModelName = Annotated[str, StringConstraints(max_length=limits.MAX_MODEL_NAME_CHARS)]
Hash = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
Text = Annotated[str, StringConstraints(min_length=1, max_length=limits.MAX_TEXT_CHARS)]
Reason = Annotated[str, StringConstraints(max_length=limits.MAX_REASON_CHARS)]
Detail = Annotated[str, StringConstraints(max_length=limits.MAX_DETAIL_CHARS)]
Latency = Annotated[float, Field(ge=0, le=limits.MAX_FLOAT32, allow_inf_nan=False)]
Probability = Annotated[float, Field(gt=0.0, le=1.0)]


def _utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:
        # pydantic lets an OverflowError pass, and one such event would end the reader.
        raise ValueError(f"{value.isoformat()} does not exist in UTC") from None


Time = Annotated[AwareDatetime, AfterValidator(_utc)]
"""A moment; any time zone is taken and UTC is kept."""

JobRole = Literal["label", "judge", "second"]
"""`label` makes training labels; `judge` decides promotions and never labels training data;
`second` asks the labeling grader again about pairs that it labeled, in another order."""
Role = Literal[JobRole, "decoy"]
"""A `decoy` is a random chunk of the same index that the grader puts among those it was asked for:
its grades measure the grader and count nowhere else."""
LabelSource = Literal["llm", "person", "synthetic"]
"""Who made a label: a model, a person, or whoever made the question up from the chunk."""
LabelStatus = Literal["graded", "unparsed", "refused", "truncated", "failed", "over_budget"]
GradeValue = Literal[0, 1, 2, 3]
FeedbackKind = Literal[
    "cited", "clicked", "copied", "thumbs_up", "thumbs_down", "dwelled", "custom"
]
DeadLetterReason = Literal[
    "malformed_json",  # not JSON, or not an object
    "not_utf8",
    "unknown_event",  # no or another `event` tag than the topic carries
    "unknown_schema_version",
    "invalid_field",  # a field is missing, of a wrong type or out of range
    "invalid_candidates",  # ranks repeat, scores are not finite
    "missing_key",
    "key_mismatch",  # the key is not the field that the registry names
    "oversize",
    "timestamp_out_of_range",
    "processing_failed",  # valid, and yet the processor could not finish it
]


class Record(BaseModel):
    """Anything that travels. Frozen; keeps fields that it does not know."""

    model_config = ConfigDict(frozen=True, extra="allow", ser_json_inf_nan="null")

    schema_version: Literal[1] = 1

    def unknown_fields(self) -> dict[str, Any]:
        """Fields of the wire form that this version has no name for."""
        return dict(self.model_extra or {})


class Event(Record):
    """What every event of a service has in common."""

    event_id: Id = ""
    """Identity of this event; a resent event keeps it. Derived from the content when absent."""
    query_id: Id
    """One search by one user; joins query, retrievals and feedback."""
    ts: Time
    """When it happened in the service, UTC."""
    service: Name = ""
    """`service.name` of OpenTelemetry."""
    segment: Name = "default"
    """The retrieval task (question→chunk, →code, →tool …): metrics and gates are per segment."""

    @model_validator(mode="before")
    @classmethod
    def _derive_event_id(cls, raw: Any) -> Any:
        """Give hand-written events without an id a deterministic one: equal content, equal id."""
        if isinstance(raw, dict) and not raw.get("event_id"):
            return {**raw, "event_id": _digest_of(raw)}
        return raw


def _digest_of(raw: dict[str, Any]) -> str:
    parts = [f"{key}={raw[key]!r}" for key in sorted(raw) if key != "event_id"]
    return identity.digest("event", *parts)


class QueryEvent(Event):
    """A user asked something."""

    event: Literal["query"] = "query"
    text: Text
    user: Name = ""
    """Pseudonym, never a name or an address."""
    session: Name = ""
    attributes: dict[str, Any] = Field(default_factory=dict)


class Candidate(BaseModel):
    """One retrieved chunk at its rank."""

    model_config = ConfigDict(frozen=True, extra="allow")

    chunk_id: Id
    rank: Annotated[int, Field(ge=1, le=limits.MAX_RANK)]
    """1 is the top."""
    score: Annotated[
        float, Field(ge=-limits.MAX_FLOAT32, le=limits.MAX_FLOAT32, allow_inf_nan=False)
    ]
    content_hash: Hash = ""
    """`identity.content_hash` of the text; derived when the text is given."""
    text: Text | None = None
    """May be left out once the chunk's text was sent in a ChunkEvent."""
    in_context: bool = False
    """The chunk was put into the prompt of the answer."""

    @model_validator(mode="before")
    @classmethod
    def _derive_content_hash(cls, raw: Any) -> Any:
        if not isinstance(raw, dict):
            return raw
        if isinstance(raw.get("text"), str) and raw["text"]:
            return {**raw, "content_hash": identity.content_hash(raw["text"])}
        # Here, because a field that is left out is never shown to its own validator.
        if not raw.get("content_hash"):
            raise ValueError("send `text`, or `content_hash` of a chunk that was sent before")
        return raw


class RetrievalEvent(Event):
    """What one stage of the pipeline returned for a query. Self-contained: no join is needed.

    No candidates is valid (a zero-result search) and is a metric of its own.
    """

    event: Literal["retrieval"] = "retrieval"
    query: Text
    stage: Name = "dense"
    """bm25, dense, fusion, rerank …"""
    retriever: Name = ""
    embedding_model: Name = ""
    model_id: Name = ""
    """Which trained model encoded the query, as the server's answer said; the base model's name
    where nothing is promoted."""
    document_fingerprint: Name = ""
    """Space of the vectors that it was compared with."""
    index: Name = ""
    """Which index was searched; chunks of another one are not its corpus."""
    index_version: Name = ""
    """Which build of it."""
    k: Annotated[int, Field(ge=0, le=limits.MAX_RANK)] = 0
    """How many were asked for."""
    latency_ms: Latency = 0.0
    candidates: Annotated[tuple[Candidate, ...], Field(max_length=limits.MAX_CANDIDATES)] = ()

    @field_validator("candidates")
    @classmethod
    def _ranks_are_unique(cls, value: tuple[Candidate, ...]) -> tuple[Candidate, ...]:
        seen: set[int] = set()
        for candidate in value:
            if candidate.rank in seen:
                raise ValueError(f"rank {candidate.rank} repeats; ranks are 1, 2, 3 … once each")
            seen.add(candidate.rank)
        return value


class FeedbackEvent(Event):
    """What the user or the answering model did with the results."""

    event: Literal["feedback"] = "feedback"
    kind: FeedbackKind
    chunk_id: Id | None = None
    """None: the feedback is about the whole answer."""
    value: Annotated[float, Field(allow_inf_nan=False)] = 1.0


class ChunkEvent(Record):
    """A chunk of one build of one index, sent once, so that trainers can rank the whole index.

    Without it a trainer only knows what was ever retrieved, and recall on that is flattering
    (docs/decisions/0002-corpus-as-events.md). Of a chunk id the newest `ts` wins: another text is
    an edit, `deleted` takes the chunk out of the index.
    """

    event: Literal["chunk"] = "chunk"
    event_id: Id = ""
    chunk_id: Id
    text: Text | None = None
    """May be left out of a chunk that is deleted."""
    content_hash: Hash = ""
    ts: Time
    source: Name = ""
    index: Name = ""
    index_version: Name = ""
    deleted: bool = False

    @model_validator(mode="before")
    @classmethod
    def _derive(cls, raw: Any) -> Any:
        if not isinstance(raw, dict):
            return raw
        made, text = {**raw}, raw.get("text")
        made.pop("content_hash", None)
        if isinstance(text, str) and text:
            made["content_hash"] = identity.content_hash(text)
        if not raw.get("event_id"):
            of = ("content_hash", "chunk_id", "index", "index_version", "deleted")
            parts = (str(made.get(name) or "") for name in of)
            made["event_id"] = identity.digest("chunkevent", *parts)
        return made

    @model_validator(mode="after")
    def _has_text(self) -> ChunkEvent:
        if self.text is None and not self.deleted:
            raise ValueError("send `text`, or `deleted`: true for a chunk that is gone")
        return self


class IndexEvent(Record):
    """What a service says of one build of an index; the newest of a build wins.

    It travels with the chunks and may come before, between or after them.
    """

    event: Literal["index"] = "index"
    event_id: Id = ""
    index: Name = ""
    index_version: Id
    """The build that is declared, hence named."""
    ts: Time
    complete: bool
    """The build is finished and may be searched; false while it is under way."""
    chunks: Annotated[int, Field(ge=0, le=limits.MAX_CHUNKS)]
    """How many it should have: with fewer landed it is not complete."""
    embedding_model: ModelName = ""
    document_fingerprint: Name = ""
    """Identity of the weights that embedded the chunks, as the encoder tells it."""
    prompt: Detail = ""
    """What was put before each text when it was embedded."""
    max_seq_length: Annotated[int, Field(ge=0, le=limits.MAX_CHUNKS)] = 0
    """Tokens after which a chunk was cut; 0 is unknown."""

    @model_validator(mode="before")
    @classmethod
    def _derive(cls, raw: Any) -> Any:
        """Equal content, equal id."""
        if isinstance(raw, dict) and not raw.get("event_id"):
            return {**raw, "event_id": _digest_of(raw)}
        return raw


class JobCandidate(BaseModel):
    """A chunk to grade. Without `text` the grader reads it from the `chunks` table."""

    model_config = ConfigDict(frozen=True, extra="allow")

    chunk_hash: Hash
    text: Text | None = None


class GradingJob(Record):
    """One sampled query with the chunks to grade: the unit of work of the grader."""

    event: Literal["job"] = "job"
    job_id: Hash
    role: JobRole = "label"
    query_id: Id
    query: Text
    query_hash: Hash
    segment: Name = "default"
    index: Name = ""
    """Which index the chunks are from: decoys are drawn from it."""
    ts: Time
    """Time of the retrieval that was sampled (not of the sampling)."""
    stratum: Name
    inclusion_probability: Probability
    """Probability with which this query entered the sample: the weight of every estimate."""
    candidates: Annotated[tuple[JobCandidate, ...], Field(max_length=limits.MAX_CANDIDATES)]


class Label(Record):
    """The judgment of one (query, chunk) pair by one grader, or why there is none.

    A status other than `graded` never carries a grade: failure is not "not relevant".
    """

    event: Literal["label"] = "label"
    label_id: Hash
    job_id: Hash
    role: Role
    source: LabelSource = "llm"
    query_id: Id
    query: Text
    query_hash: Hash
    segment: Name = "default"
    chunk_hash: Hash
    status: LabelStatus
    grade: GradeValue | None = None
    expected_grade: Annotated[float, Field(ge=0, le=3)] | None = None
    """Mean grade under the grader's own uncertainty, where it can be had."""
    grader_id: Id
    model: Name
    rubric_version: Name
    prompt_hash: Name
    stratum: Name
    inclusion_probability: Probability
    input_tokens: Annotated[int, Field(ge=0)] = 0
    """This pair's share of its call."""
    output_tokens: Annotated[int, Field(ge=0)] = 0
    cost_usd: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    latency_ms: Latency = 0.0
    attempts: Annotated[int, Field(ge=0)] = 1
    reason: Reason = ""
    """Why there is no grade; empty when graded."""
    ts: Time
    """Time of the job, hence of the traffic."""
    graded_at: Time

    @model_validator(mode="after")
    def _grade_belongs_to_graded(self) -> Label:
        if (self.status == "graded") != (self.grade is not None):
            raise ValueError(
                f"status {self.status!r} with grade {self.grade!r}: only graded has one"
            )
        if self.grade is None and self.expected_grade is not None:
            raise ValueError(f"status {self.status!r} cannot have an expected grade")
        return self


class SpendingEntry(Record):
    """A grader asks for a part of a day's money, or gives back what it did not need of it.

    Whether a claim is granted is in no record: who folds the log knows (`ragwheel.schemas.budget`).
    """

    event: Literal["spending"] = "spending"
    entry_id: Hash
    """Equal for a copy of the same entry, which counts once."""
    kind: Literal["claim", "return"]
    worker: Id
    """One run of one process."""
    day: date
    """UTC day whose money it is."""
    usd: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    tokens: Annotated[int, Field(ge=0)]
    limit_usd: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """What all workers together may spend that day; 0 is no limit."""
    limit_tokens: Annotated[int, Field(ge=0)] = 0
    ts: Time


class MetricValue(BaseModel):
    """One measured figure of a model with its 95 % interval."""

    model_config = ConfigDict(frozen=True)

    metric: Name
    """pooled_recall, precision, mrr, ndcg …"""
    k: Annotated[int, Field(ge=0)]
    """Cut-off; 0 where the metric has none."""
    segment: Name
    """`*` is the whole gate set."""
    system: Name
    """What was measured, by the name that the gate gives it; or a difference of two."""
    value: float
    ci_low: float
    ci_high: float
    queries: Annotated[int, Field(ge=0)]


class ModelEvent(Record):
    """Something happened to a model: it was trained, promoted, refused, rolled back."""

    event: Literal["model"] = "model"
    event_id: Hash
    model_id: Id
    """Content address of the model folder, or the name of the base model."""
    incumbent_id: ModelName = ""
    base_model: ModelName
    kind: Name = "bi-encoder/query"
    action: Literal["promoted", "shadow", "refused", "rolled_back"]
    reason: Detail = ""
    """The verdict in words."""
    snapshot_id: Name = ""
    triplets: Annotated[int, Field(ge=0)] = 0
    labels: Annotated[int, Field(ge=0)] = 0
    seed: int = 0
    uri: Reason = ""
    """Where the model's folder is fetched from: an absolute fsspec URL."""
    document_fingerprint: Name = ""
    """Space of the documents that its queries are compared with."""
    ts: Time
    metrics: tuple[MetricValue, ...] = ()
    gate_query_hashes: Annotated[tuple[Hash, ...], Field(max_length=limits.MAX_GATE_QUERIES)] = ()
    """Held-out queries that the verdict looked at: each look uses them up a little."""


class DeadLetter(Record):
    """A message that could not be used, with its original bytes, so that it can be replayed.

    On the wire the Kafka value and key *are* the original ones; the rest travels in headers
    (`ragwheel.schemas.deadletters`), so preserving a message cannot make it too large.
    """

    event: Literal["deadletter"] = "deadletter"
    dead_letter_id: Hash
    topic: Name
    """Logical name of the topic it came from."""
    partition: Annotated[int, Field(ge=0)]
    offset: Annotated[int, Field(ge=0)]
    key: bytes | None = None
    payload: bytes | None = None
    reason: DeadLetterReason
    detail: Detail
    ts: Time
    """When the broker stored the original (its timestamp)."""


ServiceEvent = QueryEvent | RetrievalEvent | FeedbackEvent | ChunkEvent | IndexEvent
"""What a service emits."""
