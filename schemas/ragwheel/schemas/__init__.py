"""The contracts of ragwheel: events, identities, topics, settings, tables, metrics."""

from ragwheel.schemas.errors import (
    ConfigError,
    DependencyError,
    InvalidEventError,
    RagwheelError,
    TerminalError,
    TransientError,
    UnavailableError,
)
from ragwheel.schemas.events import (
    Candidate,
    ChunkEvent,
    DeadLetter,
    FeedbackEvent,
    GradingJob,
    JobCandidate,
    Label,
    MetricValue,
    ModelEvent,
    QueryEvent,
    RetrievalEvent,
)
from ragwheel.schemas.topics import TOPICS, Topic, TopicName

__all__ = [
    "TOPICS",
    "Candidate",
    "ChunkEvent",
    "ConfigError",
    "DeadLetter",
    "DependencyError",
    "FeedbackEvent",
    "GradingJob",
    "InvalidEventError",
    "JobCandidate",
    "Label",
    "MetricValue",
    "ModelEvent",
    "QueryEvent",
    "RagwheelError",
    "RetrievalEvent",
    "TerminalError",
    "Topic",
    "TopicName",
    "TransientError",
    "UnavailableError",
]
