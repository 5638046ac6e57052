"""Request bodies as clickhouse-connect sends them: compressed, in several frames, and bounded.

The client compresses each block of an insert as a frame of its own, so the end of a frame is not
the end of the body.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from typing import Protocol

from aiohttp import web

from ragwheel.stack.clickhouse.engine import EngineError

#: Decoded pieces are at most this long, so that a small body cannot claim much memory at once.
PIECE_BYTES = 1024 * 1024

_OPTIONAL = (
    ("lz4", "lz4.frame", "LZ4FrameDecompressor"),
    (
        "zstd",
        "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd",
        "ZstdDecompressor",
    ),
)


def _broken(text: str) -> EngineError:
    """The body is not what its Content-Encoding says."""
    return EngineError.of(271, text, "CANNOT_DECOMPRESS")


def too_large(text: str) -> EngineError:
    """Something is larger than allowed."""
    return EngineError.of(307, text, "TOO_MANY_BYTES")


class _Frame(Protocol):
    """What the decompressors of lz4, zstd and our gzip adapter have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes | None: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class BodyDecoder:
    """Turns compressed chunks into pieces of data, across frame borders.

    Args:
        encoding: value of Content-Encoding; empty or `identity` for none.

    Raises:
        EngineError: it is not supported; the message lists what is.
    """

    def __init__(self, encoding: str) -> None:
        factories = _factories()
        self._encoding = encoding.strip().lower()
        if self._encoding not in factories:
            raise EngineError.of(
                89,
                f"Content-Encoding {encoding!r} is not supported; known: {', '.join(factories)}",
                "UNKNOWN_COMPRESSION_METHOD",
            )
        self._factory = factories[self._encoding]
        self._frame: _Frame | None = None

    def decode(self, chunk: bytes) -> Iterator[bytes]:
        """Pieces decoded from the next chunk of the body, each at most PIECE_BYTES long.

        Raises:
            EngineError: the bytes are not of this encoding.
        """
        if self._factory is None:
            if chunk:
                yield chunk
            return
        while chunk or (self._frame is not None and not self._frame.needs_input):
            if self._frame is None:
                self._frame = self._factory()
            try:
                piece = self._frame.decompress(chunk, PIECE_BYTES)
            except Exception as error:  # each of the libraries raises its own
                raise _broken(f"the body is not valid {self._encoding}: {error}") from error
            chunk = b""
            if self._frame.eof:
                chunk = self._frame.unused_data or b""
                self._frame = None
            if piece:
                yield piece

    def finish(self) -> None:
        """Call at the end of the body.

        Raises:
            EngineError: it ended within a frame.
        """
        if self._frame is not None:
            raise _broken(f"the body ends in the middle of a {self._encoding} frame")


class _ZlibFrame:
    """`zlib.decompressobj` with the interface of the other decompressors."""

    def __init__(self, window_bits: int) -> None:
        self._inner = zlib.decompressobj(window_bits)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def needs_input(self) -> bool:
        return not self._inner.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, max_length)


def _factories() -> dict[str, Callable[[], _Frame] | None]:
    """Codecs installed here. lz4 and zstd come with clickhouse-connect where it can use them."""
    known: dict[str, Callable[[], _Frame] | None] = {
        "": None,
        "identity": None,
        "gzip": lambda: _ZlibFrame(31),
        "deflate": lambda: _ZlibFrame(15),
    }
    for encoding, module, decompressor in _OPTIONAL:
        with contextlib.suppress(ImportError):
            known[encoding] = getattr(importlib.import_module(module), decompressor)
    return known


class RequestBody:
    """Reads the body once, front to back: first `next_piece`, then maybe `next_chunk` to its end.

    Args:
        http: the request.
        max_bytes: bound of the decoded body.

    Raises:
        EngineError: Content-Encoding is not one we read.
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
            EngineError: the body is broken or too large.
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
        """Raises EngineError if the body ended within a frame."""
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
                raise too_large(f"the body is larger than {self._max_bytes} bytes")
            yield piece
