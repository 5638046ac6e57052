"""Playing traffic against the search service and telling ragwheel about it, as a service would."""

from __future__ import annotations

import platform
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from ragwheel.backends.publish import Outgoing, Publisher
from ragwheel.client import Hit, RagwheelClient
from ragwheel.demo.behaviour import CONTEXT_SIZE, react
from ragwheel.demo.broken import BrokenEvent, broken_events
from ragwheel.demo.search import Found, SearchService
from ragwheel.demo.searches import Search
from ragwheel.models.encoder import Vectors
from ragwheel.schemas.settings import KafkaSettings
from ragwheel.schemas.topics import SERVICE_TOPICS, TopicName

SERVICE = "stdlib-search"
INDEX = "python-stdlib"
INDEX_VERSION = f"stdlib-{platform.python_version()}"
EMBEDDING_MODEL = "all-MiniLM-L6-v2"
RESULTS = 20
_EVERY = 50
_FLUSH_S = 30.0


@dataclass(frozen=True, slots=True)
class Searched:
    """What the searches brought.

    Attributes:
        latencies_ms: of every search.
        zero_results: searches that found nothing.
        answer_in_results: searches whose right chunk was among the results.
    """

    latencies_ms: tuple[float, ...]
    zero_results: int
    answer_in_results: int


@dataclass(frozen=True, slots=True)
class Played:
    """What a run knows of its traffic by itself.

    Attributes:
        sent: messages that the broker confirmed, per service topic.
        copies: events among them that were sent before.
        broken: messages among them that must be set aside.
        delivered: events that the client delivered.
        lost: events that the client could not deliver.
    """

    searched: Searched
    sent: Mapping[TopicName, int]
    copies: Mapping[TopicName, int]
    broken: tuple[BrokenEvent, ...]
    delivered: int
    lost: int


def play_searches(
    client: RagwheelClient,
    service: SearchService,
    searches: Sequence[Search],
    vector_of: Mapping[str, Vectors],
    rng: random.Random,
    on_progress: Callable[[int], None],
) -> Searched:
    """Search, and report each search through the client.

    Args:
        vector_of: query vector by text, as typed.
        on_progress: called with the number of searches done, now and then.
    """
    latencies: list[float] = []
    empty = answered = 0
    for number, search in enumerate(searches, 1):
        found = service.search(vector_of[search.text], RESULTS, search.package)
        latencies.append(found.latency_ms)
        empty += not found.chunks
        rank = found.rank_of(search.question.chunk_id)
        answered += rank is not None
        _tell(client, search, f"demo-{number:06d}", found, rank, rng)
        if number % _EVERY == 0:
            on_progress(number)
    return Searched(tuple(latencies), empty, answered)


def finish(
    client: RagwheelClient,
    settings: KafkaSettings,
    searched: Searched,
    repeated: Sequence[Search],
) -> Played:
    """What else a service sends: some events twice, some broken; then wait for confirmations.

    Args:
        repeated: searches whose events are sent twice.

    Raises:
        UnavailableError: the broker did not take the broken ones.
    """
    now = datetime.now(UTC)
    copies = send_twice(client, repeated, now)
    broken = tuple(broken_events(now))
    # Past the client, which would refuse to send them.
    publisher = Publisher(settings)
    publisher.publish(Outgoing(event.topic, event.key, event.value) for event in broken)
    publisher.close()
    sent_broken = Counter(event.topic for event in broken)
    client.flush(_FLUSH_S)
    stats = client.stats()
    return Played(
        searched,
        {name: stats.topics[name].delivered + sent_broken[name] for name in SERVICE_TOPICS},
        copies,
        broken,
        stats.total.delivered,
        lost=stats.total.failed + stats.total.dropped + stats.total.invalid,
    )


def send_twice(
    client: RagwheelClient, searches: Sequence[Search], ts: datetime
) -> Mapping[TopicName, int]:
    """Send the events of searches two times each, as a service that retries does.

    Returns:
        Events sent beyond the first copy, per topic; each must land once.
    """
    for number, search in 2 * list(enumerate(searches)):
        segment = search.question.segment
        query_id = client.emit_query(
            search.text,
            query_id=f"retried-{number}",
            event_id=f"retried-query-{number}",
            segment=segment,
            user=search.user,
            session=search.session,
            ts=ts,
        )
        event_id = f"retried-feedback-{number}"
        client.emit_feedback(query_id, "thumbs_up", event_id=event_id, segment=segment, ts=ts)
    return {"queries": len(searches), "feedback": len(searches)}


def _tell(
    client: RagwheelClient,
    search: Search,
    query_id: str,
    found: Found,
    answer_rank: int | None,
    rng: random.Random,
) -> None:
    with client.query(
        search.text,
        segment=search.question.segment,
        user=search.user,
        session=search.session,
        attributes={"package": search.package} if search.package else None,
        # Sampling is a function of the query id: a seed repeats the sample, too.
        query_id=query_id,
    ) as query:
        query.retrieved(
            [
                Hit(chunk.chunk_id, score, content_hash=chunk.content_hash)
                for chunk, score in zip(found.chunks, found.scores, strict=True)
            ],
            stage="dense",
            retriever="exact",
            embedding_model=EMBEDDING_MODEL,
            index=INDEX,
            index_version=INDEX_VERSION,
            k=RESULTS,
            latency_ms=found.latency_ms,
        )
        query.used([chunk.chunk_id for chunk in found.chunks[:CONTEXT_SIZE]])
        for kind, rank in react(answer_rank, len(found.chunks), rng):
            query.feedback(kind, None if rank is None else found.chunks[rank - 1].chunk_id)
