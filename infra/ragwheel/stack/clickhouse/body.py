"""A request's body, decoded piece by piece and bounded."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from aiohttp import web

from ragwheel.stack.clickhouse.decoding import BodyDecoder
from ragwheel.stack.clickhouse.engine import EngineError


class BodyTooLargeError(ValueError):
    """The decoded body is larger than allowed."""


class RequestBody:
    """Reads the body once, front to back: first `next_piece`, then maybe `next_chunk` to its end.

    Args:
        http: the request.
        max_bytes: bound of the decoded body.

    Raises:
        UnsupportedEncodingError: Content-Encoding is not one we read.
    """

    def __init__(self, http: web.Request, max_bytes: int) -> None:
        self._http = http
        self._max_bytes = max_bytes
        self._decoder = BodyDecoder(http.headers.get("Content-Encoding", ""))
        self._decoded: deque[bytes] = deque()
        self._decoded_bytes = 0

    async def next_piece(self) -> bytes | None:
        """The next decoded piece, or None at the end.

        Raises:
            BrokenBodyError, BodyTooLargeError: see there.
        """
        while not self._decoded:
            chunk = await self._read()
            if chunk is None:
                self.finish()
                return None
            self._decoded.extend(self._bounded(self._decoder.decode(chunk)))
        return self._decoded.popleft()

    async def next_chunk(self) -> bytes | None:
        """The next chunk as received, for `decode`, or None at the end."""
        return b"" if self._decoded else await self._read()

    def decode(self, chunk: bytes) -> Iterator[bytes]:
        """Decodes a chunk from `next_chunk`, after what is left from `next_piece`."""
        while self._decoded:
            yield self._decoded.popleft()
        yield from self._bounded(self._decoder.decode(chunk))

    def finish(self) -> None:
        """Raises BrokenBodyError if the body ended within a frame."""
        self._decoder.finish()

    async def drain(self) -> None:
        """Reads and drops the rest, up to the bound."""
        dropped = 0
        while dropped < self._max_bytes and (chunk := await self._read()) is not None:
            dropped += len(chunk)

    async def form_fields(self) -> dict[str, str]:
        """The fields of a multipart form: `query` and `param_*`.

        Raises:
            EngineError: it contains a file (a table sent along), which is not supported here.
        """
        fields = {}
        for name, value in (await self._http.post()).items():
            if not isinstance(value, str):
                raise EngineError.of(
                    48,
                    f"external table {name!r}: external data needs a ClickHouse server",
                    "NOT_IMPLEMENTED",
                )
            fields[name] = value
        return fields

    async def _read(self) -> bytes | None:
        return await self._http.content.readany() or None

    def _bounded(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            self._decoded_bytes += len(piece)
            if self._decoded_bytes > self._max_bytes:
                raise BodyTooLargeError(f"the body is larger than {self._max_bytes} bytes")
            yield piece
