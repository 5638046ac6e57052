"""What a service holds: one object that takes events and never gets in the way."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any, Self, Unpack

from ragwheel.client import building
from ragwheel.client.candidates import Fields, mark_used
from ragwheel.client.channel import Channel
from ragwheel.client.context import Query
from ragwheel.client.described import AboutIndex, Sent, Stamped, unknown_argument
from ragwheel.client.emitter import Emitter
from ragwheel.client.guard import never_raises
from ragwheel.client.hits import chunk_id_of, invalid
from ragwheel.client.ids import new_id
from ragwheel.client.stats import ClientStats
from ragwheel.schemas.events import FeedbackKind
from ragwheel.schemas.settings import ClientSettings


class RagwheelClient:
    """Sends what a service searched, found and learned.

    No method raises into the caller: what cannot be used is counted (`stats`) and logged once per
    kind. No method waits for the broker, except `flush`, `close` and `emit_chunks(wait_s=…)`, which
    are told how long. Thread-safe; survives fork; flushes at exit. Making one opens nothing: the
    environment is read and the producer opened at the first event.

    Args:
        settings: None reads the `RAGWHEEL_` environment.
        overrides: fields of `ClientSettings` that win over the environment, e.g. `service="shop"`.
    """

    def __init__(self, settings: ClientSettings | None = None, **overrides: Any) -> None:
        given = {} if settings is None else settings.model_dump()
        self._channel = Channel(given | overrides)
        self._emitter = Emitter(self._channel)

    @property
    def problem(self) -> str:
        """Why nothing is sent, in words that name the setting; empty when all is well."""
        return self._channel.problem

    @never_raises("queries", lambda client: Query(client._emitter, new_id(), "", "default"))
    def query(
        self,
        text: str,
        *,
        segment: str = "default",
        user: object = "",
        session: object = "",
        attributes: Mapping[str, Any] | None = None,
        query_id: str | None = None,
    ) -> Query:
        """Begin a query: sends its event now and returns the context for what follows.

        Args:
            text: what was asked.
            segment: the retrieval task (docs, code, tools …): metrics and gates are per segment.
            user: a pseudonym, never a name or an address. `session` likewise.
            attributes: anything else worth keeping; JSON.
            query_id: None makes one.
        """
        query_id = self.emit_query(
            text,
            query_id=query_id,
            segment=segment,
            user=user,
            session=session,
            attributes=attributes,
        )
        return Query(self._emitter, query_id, text, segment)

    @never_raises("queries", lambda _: new_id())
    def emit_query(
        self,
        text: str,
        *,
        query_id: str | None = None,
        user: object = "",
        session: object = "",
        attributes: Mapping[str, Any] | None = None,
        **said: Unpack[Stamped],
    ) -> str:
        """Send a QueryEvent. Arguments as in `query`, and:

        Args:
            said: `segment`, `ts`, `event_id`, `extra`: see `ragwheel.client.described.Stamped`.

        Returns:
            The query id, whatever became of the event.
        """
        query_id = new_id() if query_id is None else str(query_id)
        self._send_query(query_id, text, user, session, attributes, said)
        return query_id

    @never_raises("retrievals", lambda _: False)
    def emit_retrieval(
        self,
        query_id: str,
        query: str,
        hits: Iterable[object],
        *,
        used: Iterable[object] = (),
        **said: Unpack[Sent],
    ) -> bool:
        """Send a RetrievalEvent. `hits` as in `Query.retrieved`, and:

        Args:
            query: the text that was searched for.
            used: the chunks that went into the prompt: ids or hits.
            said: `stage`, `k`, `segment` …: see `ragwheel.client.described.Sent`.

        Returns:
            Whether it was queued.
        """
        if not self._emitter.ready("retrievals"):
            return False
        origin = self._emitter.origin(said)
        event = self._emitter.retrieval(origin, query_id, query, hits, said)
        mark_used(event["candidates"], {chunk_id_of(item) for item in used})
        return self._emitter.send("retrievals", event)

    @never_raises("feedback", lambda _: False)
    def emit_feedback(
        self,
        query_id: str,
        kind: FeedbackKind,
        chunk_id: object = None,
        *,
        value: float = 1.0,
        **said: Unpack[Stamped],
    ) -> bool:
        """Send a FeedbackEvent; also from another process and much later.

        Args:
            chunk_id: None is feedback about the whole answer.
            value: e.g. seconds for `dwelled`, stars for `custom`.
            said: as in `emit_query`; the segment is that of the query.

        Returns:
            Whether it was queued.
        """
        return self._emitter.feedback(query_id, kind, chunk_id, value, said)

    feedback = emit_feedback

    def emit_chunks(
        self,
        chunks: Iterable[object],
        *,
        source: str = "",
        index: str = "",
        index_version: str = "",
        ts: datetime | None = None,
        wait_s: float = 0.0,
    ) -> int:
        """Send chunks of an index as ChunkEvents; once per build is enough, again is harmless.

        Of a chunk id the newest text counts, so an edited chunk is simply sent again.

        Args:
            chunks: `(chunk_id, text)` pairs, or anything with a chunk id and a text.
            index: its name, as retrievals give it.
            index_version: the build of the index that the chunks are in.
            wait_s: an indexing job that may wait gives the longest wait per chunk for room in the
                queue; 0 drops what does not fit.

        Returns:
            How many were queued.

        Raises:
            Only what iterating over `chunks` raises: that error is the service's own.
        """
        place = building.Placement(_now(ts), index, index_version)
        made = partial(building.chunk_event, place=place, source=source)
        return self._send_chunks(chunks, made, wait_s)

    def emit_deleted_chunks(
        self,
        chunks: Iterable[object],
        *,
        index: str = "",
        index_version: str = "",
        ts: datetime | None = None,
        wait_s: float = 0.0,
    ) -> int:
        """Say that chunks are in this build of the index no more. As `emit_chunks`, and:

        Args:
            chunks: their ids, or anything with a chunk id.
        """
        place = building.Placement(_now(ts), index, index_version)
        return self._send_chunks(chunks, partial(building.deleted_chunk_event, place=place), wait_s)

    @never_raises("chunks", lambda _: False)
    def emit_index(
        self,
        index_version: str,
        *,
        chunks: int,
        index: str = "",
        ts: datetime | None = None,
        **about: Unpack[AboutIndex],
    ) -> bool:
        """Declare a build of an index, usually when all its chunks were sent.

        From then on trainers take it for the corpus, as soon as all its chunks have landed; until
        then they stay with the build before it.

        Args:
            chunks: how many the build has.
            about: `complete`, `prompt` …: see `ragwheel.client.described.AboutIndex`.

        Returns:
            Whether it was queued.
        """
        if not self._emitter.ready("chunks"):
            return False
        place = building.Placement(_now(ts), index, index_version)
        return self._emitter.send("chunks", building.index_event(place, chunks, about))

    def flush(self, timeout_s: float | None = None) -> int:
        """Wait for the broker to confirm everything queued.

        Args:
            timeout_s: longest wait; None takes RAGWHEEL_CLIENT_FLUSH_TIMEOUT_S.

        Returns:
            How many events are still waiting.
        """
        return self._channel.flush(timeout_s)

    def close(self, timeout_s: float | None = None) -> None:
        """Flush and stop; later events are dropped and counted. Idempotent; done at exit anyway."""
        self._channel.close(timeout_s)

    def configure(self, **overrides: Any) -> None:
        """Use other settings from now on; what was queued is flushed first, within its limit."""
        self._channel.configure(overrides)

    def stats(self) -> ClientStats:
        """What became of every event handed over in this process."""
        return self._channel.stats()

    @never_raises("queries", lambda _: False)
    def _send_query(
        self,
        query_id: str,
        text: str,
        user: object,
        session: object,
        attributes: Mapping[str, Any] | None,
        said: Stamped,
    ) -> bool:
        if not self._emitter.ready("queries"):
            return False
        origin = self._emitter.origin(said)
        if said:
            raise unknown_argument(min(said), Stamped.__annotations__)
        event = building.query_event(origin, query_id, text, user, session, attributes)
        return self._emitter.send("queries", event)

    def _send_chunks(
        self, chunks: Iterable[object], made: Callable[[object, int], Fields], wait_s: float
    ) -> int:
        if not isinstance(chunks, Iterable):
            self._emitter.refuse(
                "chunks", invalid("chunks", f"{chunks!r:.80} is not a list of chunks")
            )
            return 0
        return sum(
            self._send_chunk(item, position, made, wait_s)
            for position, item in enumerate(chunks, 1)
        )

    @never_raises("chunks", lambda _: False)
    def _send_chunk(
        self,
        item: object,
        position: int,
        made: Callable[[object, int], Fields],
        wait_s: float,
    ) -> bool:
        if not self._emitter.ready("chunks"):
            return False
        return self._emitter.send("chunks", made(item, position), wait_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _now(ts: datetime | None) -> datetime:
    return datetime.now(UTC) if ts is None else ts
