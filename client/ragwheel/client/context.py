"""One search by one user: the context that keeps what belongs together together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextvars import ContextVar, Token
from time import perf_counter
from typing import Any, Self, Unpack

from ragwheel.client.candidates import Fields, mark_used
from ragwheel.client.described import Described, Measured, unknown_argument
from ragwheel.client.emitter import Emitter
from ragwheel.client.guard import never_raises
from ragwheel.client.hits import chunk_id_of, invalid
from ragwheel.schemas.events import FeedbackKind

_CURRENT: ContextVar[Query | None] = ContextVar("ragwheel.query", default=None)
#: Retrievals kept until the block ends; an agent in a loop sends the oldest before that.
_MAX_HELD = 64


def _nothing(_: Any) -> None:
    return None


def current_query() -> Query | None:
    """The innermost query whose `with` block is running in this task or thread."""
    return _CURRENT.get()


class Query:
    """A query under way. Made by `RagwheelClient.query`; its event is sent at once.

    In a `with` (or `async with`) block, retrievals are held until the block ends, because only then
    it is known which chunks went into the prompt; they are sent also when the block ends with an
    exception, which passes through. Without a block they are sent at once.

    No method raises. Tasks of one block may share it.

    Attributes:
        query_id: joins everything about this query; keep it to send feedback later.
        text: what was asked.
        segment: the retrieval task.
    """

    def __init__(self, emitter: Emitter, query_id: str, text: str, segment: str) -> None:
        self.query_id = query_id
        self.text = text
        self.segment = segment
        self._emitter = emitter
        self._tokens: list[Token[Query | None]] = []
        self._held: list[Fields] = []
        self._used: set[str] = set()
        self._mark_s = perf_counter()

    @never_raises("retrievals", _nothing)
    def retrieved(
        self,
        hits: Iterable[object],
        *,
        query: str | None = None,
        extra: Mapping[str, Any] | None = None,
        **described: Unpack[Measured],
    ) -> None:
        """A stage of the pipeline returned `hits`, best first. No hits is worth telling, too.

        Args:
            hits: `(chunk_id, score, text)` tuples, dicts or objects of the usual search clients, or
                `Hit`s; see docs/instrumentation.md. A list rather than a generator: it is consumed.
            query: the text searched for, where it is not what the user typed (rewritten, expanded).
            extra: further fields for the archive, e.g. an experiment's name.
            described: `stage`, `k` … : the fields of `ragwheel.client.described`.
        """
        if not self._emitter.ready("retrievals"):
            return
        now_s = perf_counter()
        measured_ms, self._mark_s = (now_s - self._mark_s) * 1000, now_s
        if described.get("latency_ms") is None:
            described["latency_ms"] = measured_ms
        origin = self._emitter.origin({"segment": self.segment, "extra": extra})
        text = self.text if query is None else query
        event = self._emitter.retrieval(origin, self.query_id, text, hits, described)
        self._held.append(event)
        if not self._tokens:
            self._release(0)
        elif len(self._held) > _MAX_HELD:
            self._release(_MAX_HELD)

    @never_raises("retrievals", lambda query: Stage(query, {}))
    def retrieving(
        self,
        stage: str | None = None,
        /,
        *,
        query: str | None = None,
        extra: Mapping[str, Any] | None = None,
        **described: Unpack[Described],
    ) -> Stage:
        """A block around one stage; times exactly that, also where stages run side by side.

        Args:
            stage: as in `described`, where it may stand as well.
        """
        for name in described.keys() - Described.__annotations__.keys():
            raise unknown_argument(name, Described.__annotations__)
        if stage is not None:
            described["stage"] = stage
        return Stage(self, described, query=query, extra=extra)

    @never_raises("retrievals", _nothing)
    def used(self, *chunks: object) -> None:
        """These chunks went into the prompt: ids, hits, or lists of them.

        Marks them in the retrievals of this block, so it belongs inside the block.
        """
        if not self._tokens:
            raise invalid("used", "call it inside the `with` block of the query")
        self._used.update(chunk_id_of(chunk) for chunk in _flat(chunks))

    @never_raises("feedback", _nothing)
    def cited(self, *chunks: object) -> None:
        """The answer cites these chunks: ids, hits, or lists of them."""
        for chunk in _flat(chunks):
            self.feedback("cited", chunk_id_of(chunk))

    @never_raises("feedback", _nothing)
    def feedback(self, kind: FeedbackKind, chunk_id: object = None, *, value: float = 1.0) -> None:
        """What the user did with the answer, or with one chunk of it."""
        self._emitter.feedback(self.query_id, kind, chunk_id, value, {"segment": self.segment})

    def __enter__(self) -> Self:
        self._tokens.append(_CURRENT.set(self))
        return self

    def __exit__(self, *_: object) -> None:
        self._leave()

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(self, *_: object) -> None:
        self._leave()

    @never_raises("retrievals", _nothing)
    def _leave(self) -> None:
        token = self._tokens.pop()
        try:
            _CURRENT.reset(token)
        except ValueError:
            # An async generator may be closed in another context than it was opened in.
            _CURRENT.set(None)
        if not self._tokens:
            self._release(0)

    def _release(self, keep: int) -> None:
        """Send held retrievals, oldest first, until `keep` are left."""
        while len(self._held) > keep:
            event = self._held.pop(0)
            mark_used(event["candidates"], self._used)
            self._send(event)

    @never_raises("retrievals", _nothing)
    def _send(self, event: Fields) -> None:
        self._emitter.send("retrievals", event)


class Stage:
    """One stage of a query while it runs; made by `Query.retrieving`. No method raises."""

    def __init__(
        self,
        owner: Query,
        described: Described,
        *,
        query: str | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        self._owner = owner
        self._described = described
        self._query = query
        self._extra = extra
        self._began_s = perf_counter()

    def returned(self, hits: Iterable[object]) -> None:
        """The stage returned `hits`, best first; the clock stops here."""
        latency_ms = (perf_counter() - self._began_s) * 1000
        self._owner.retrieved(
            hits, query=self._query, extra=self._extra, latency_ms=latency_ms, **self._described
        )

    def __enter__(self) -> Self:
        self._began_s = perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        """A stage that failed has returned nothing: no event."""

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(self, *_: object) -> None:
        """As without `async`."""


def _flat(chunks: Iterable[object]) -> Iterator[object]:
    """Ids and hits; a list of them counts as its members (a tuple is a hit)."""
    for chunk in chunks:
        if isinstance(chunk, list | set | frozenset):
            yield from chunk
        else:
            yield chunk
