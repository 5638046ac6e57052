"""The registry of topics: the one place that says what travels where.

Topic creation, intake, Faust, docker-compose, metric labels and ClickHouse retention read it.
`name` is logical; the physical name is `KafkaSettings.topic_prefix + name`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from ragwheel.schemas import events

TopicName = Literal[
    "queries",
    "retrievals",
    "feedback",
    "chunks",
    "grading",
    "labels",
    "spending",
    "models",
    "deadletters",
]


class Partition(NamedTuple):
    """One partition of a topic, under the topic's logical name."""

    topic: TopicName
    number: int


class Position(NamedTuple):
    """Where one message stands.

    `origin` is the incarnation of the topic: offsets of one that was deleted and made again, or of
    another cluster, name other messages.
    """

    topic: TopicName
    partition: int
    offset: int
    origin: str = ""


DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic and everything that others must agree on about it.

    Attributes:
        name: logical name.
        model: the record it carries.
        key: field of the record that is the message key, hence decides the partition.
        partitions: default number; more partitions is how a stage scales.
        retention_s: how long Kafka keeps messages.
        table: ClickHouse table that intake lands it in.
        table_ttl_days: how long ClickHouse keeps the rows after they landed; 0: for good.
        description: one line for `ragwheel status` and the docs.
        also: further records that it carries, each with the field that is its key.
    """

    name: TopicName
    model: type[events.Record]
    key: str
    partitions: int
    retention_s: int
    table: str
    table_ttl_days: int
    description: str
    also: Mapping[type[events.Record], str] = field(default_factory=dict)

    @property
    def keys(self) -> dict[type[events.Record], str]:
        """Every record that it carries, and the field that is its key."""
        return {self.model: self.key, **self.also}

    @property
    def models(self) -> dict[str, type[events.Record]]:
        """The same records by the tag of their `event`."""
        return {str(model.model_fields["event"].default): model for model in self.keys}


_ALL = (
    Topic("queries", events.QueryEvent, "query_id", 4, 7 * DAY_S, "queries", 180,
          "what users asked"),
    Topic("retrievals", events.RetrievalEvent, "query_id", 4, 7 * DAY_S, "retrievals", 180,
          "what each stage returned, with ranks and scores"),
    Topic("feedback", events.FeedbackEvent, "query_id", 4, 7 * DAY_S, "feedback", 180,
          "citations, clicks, thumbs"),
    Topic("chunks", events.ChunkEvent, "chunk_id", 4, 7 * DAY_S, "chunks", 730,
          "the corpus: chunks of each index, and what is said of its builds",
          {events.IndexEvent: "index_version"}),
    Topic("grading", events.GradingJob, "query_hash", 4, 14 * DAY_S, "grading_jobs", 180,
          "sampled work for the grader; equal queries share a partition"),
    Topic("labels", events.Label, "query_hash", 4, 30 * DAY_S, "labels", 730,
          "graded pairs; paid for, so kept longest"),
    Topic("spending", events.SpendingEntry, "worker", 1, 7 * DAY_S, "spending", 730,
          "who may spend how much of a day's money; the log decides, hence one partition"),
    Topic("models", events.ModelEvent, "model_id", 1, 90 * DAY_S, "models", 0,
          "trained, promoted, refused, rolled back"),
    Topic("deadletters", events.DeadLetter, "dead_letter_id", 1, 30 * DAY_S, "dead_letters", 30,
          "unusable messages with reason and original bytes"),
)  # fmt: skip

TOPICS: dict[TopicName, Topic] = {topic.name: topic for topic in _ALL}
#: Topics that services write; everything else is ours.
SERVICE_TOPICS: tuple[TopicName, ...] = ("queries", "retrievals", "feedback", "chunks")
#: `event` tag of a service's event → topic.
TOPIC_OF_EVENT: dict[str, TopicName] = {tag: topic.name for topic in _ALL for tag in topic.models}
#: `event` tag → the field that is the message's key.
KEY_OF_EVENT: dict[str, str] = {
    tag: topic.keys[model] for topic in _ALL for tag, model in topic.models.items()
}
