"""The HTTP interface: requests in, chDB calls on worker threads, answers out."""

from __future__ import annotations

import asyncio
import logging
import secrets
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

import orjson
from aiohttp import web

from ragwheel.stack.clickhouse.admission import Admission
from ragwheel.stack.clickhouse.body import RequestBody, too_large
from ragwheel.stack.clickhouse.engine import (
    Engine,
    EngineError,
    Session,
    Statistics,
    chdb_errors,
)
from ragwheel.stack.clickhouse.entrance import refuse_pages, require_password
from ragwheel.stack.clickhouse.parameters import QueryRequest, read_request, status_of
from ragwheel.stack.clickhouse.statement import (
    InlineInsert,
    NotInline,
    first_word,
    has_result,
    inline_insert,
    trailing_format,
)

_log = logging.getLogger(__name__)
_P = ParamSpec("_P")
_T = TypeVar("_T")

#: Requests that work at once; more wait for a thread.
WORKERS = 16
#: Longest URL and header, bytes: bound parameters travel there.
_MAX_HEAD_BYTES = 1024 * 1024
#: Formats whose blocks may be joined to one text, so that answers can be streamed.
_STREAMABLE = frozenset({"Native", "TabSeparated", "TSV", "CSV", "RowBinary", "JSONEachRow"})


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what a request may cost.

    Attributes:
        body_bytes: decoded body of an insert; it is passed on in pieces, never held as a whole.
        statement_bytes: any other statement; held in memory.
    """

    body_bytes: int = 4 * 1024**3
    statement_bytes: int = 64 * 1024**2


class Front:
    """Serves one engine.

    Args:
        engine: open; the caller closes it after `close`.
        password: what every request must show.
        limits: bounds on requests.
    """

    def __init__(self, engine: Engine, password: str, limits: Limits | None = None) -> None:
        self._engine = engine
        self._password = password
        self._admission = Admission(engine)
        self._limits = limits or Limits()
        self._threads = ThreadPoolExecutor(WORKERS, thread_name_prefix="chdb")
        self._version = engine.version()

    def runner(self) -> web.AppRunner:
        """The application, ready to be bound to an address."""
        app = web.Application(client_max_size=self._limits.statement_bytes)
        app.router.add_get("/ping", self._ping)
        app.router.add_route("GET", "/", self._handle)
        app.router.add_route("POST", "/", self._handle)
        return web.AppRunner(
            app,
            access_log=None,
            # Bodies are decoded here, because they come in several frames.
            auto_decompress=False,
            read_bufsize=1024 * 1024,
            max_line_size=_MAX_HEAD_BYTES,
            max_field_size=_MAX_HEAD_BYTES,
            shutdown_timeout=5.0,
        )

    def close(self) -> None:
        """Waits for running calls and ends the threads."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    async def _ping(self, _request: web.Request) -> web.Response:
        return web.Response(text="Ok.\n")

    async def _handle(self, http: web.Request) -> web.StreamResponse:
        query_id = http.query.get("query_id") or str(uuid.uuid4())
        try:
            refuse_pages(http.headers)
            require_password(http.headers, self._password)
            return await self._answer(http, query_id)
        except EngineError as error:
            return self._failure(error, query_id)

    async def _answer(self, http: web.Request, query_id: str) -> web.StreamResponse:
        fields = dict(http.query)
        body = RequestBody(http, self._limits.body_bytes)
        try:
            if http.content_type == "multipart/form-data":
                fields |= await body.form_fields()
            request = read_request(fields, http.headers)
            if not request.query and http.method == "GET":
                return web.Response(text="Ok.\n")
            settings = dict(request.settings)
            if http.method == "GET":
                settings["readonly"] = "2"  # as on a server: GET does not change data
            session = await self._run(
                self._engine.open_session,
                database=request.database,
                settings=settings,
                parameters=request.parameters,
            )
            try:
                return await self._run_statement(http, request, body, session, query_id)
            finally:
                await self._run(session.close)
        except EngineError:
            # A client that is still sending would not read the answer.
            await body.drain()
            raise

    async def _run_statement(
        self,
        http: web.Request,
        request: QueryRequest,
        body: RequestBody,
        session: Session,
        query_id: str,
    ) -> web.StreamResponse:
        text = f"{request.query}\n".encode() if request.query else b""
        verdict: InlineInsert | NotInline = NotInline.UNDECIDED
        complete = False
        while verdict is NotInline.UNDECIDED:
            piece = await body.next_piece()
            complete = piece is None
            text += piece or b""
            verdict = inline_insert(text, complete=complete)
            if not isinstance(verdict, InlineInsert):
                self._check_statement(len(text))
        if isinstance(verdict, InlineInsert):
            data = text[verdict.data_offset :]
            statistics = await self._insert(request, session, verdict, data, body)
            return web.Response(headers=self._headers(query_id, statistics))
        parts = [text]
        size = len(text)
        while not complete and (piece := await body.next_piece()) is not None:
            parts.append(piece)
            size += len(piece)
            self._check_statement(size)
        return await self._query(http, request, b"".join(parts), session, query_id)

    async def _insert(
        self,
        request: QueryRequest,
        session: Session,
        parts: InlineInsert,
        data: bytes,
        body: RequestBody,
    ) -> Statistics:
        statement = b"%s FORMAT %s" % (parts.statement, parts.format.encode())
        await self._run(self._admission.check, statement, request.parameters)
        insert = await self._run(session.insert, parts.statement, parts.format)
        try:
            with chdb_errors():
                if data:
                    await self._run(insert.append, data)

                def append_chunk(chunk: bytes) -> None:
                    for piece in body.decode(chunk):
                        insert.append(piece)

                while (chunk := await body.next_chunk()) is not None:
                    await self._run(append_chunk, chunk)
                body.finish()
                done = await self._run(insert.finish)
        finally:
            await self._run(insert.cancel)
        return Statistics(
            written_rows=done.rows_written, written_bytes=done.bytes_written, elapsed_s=done.elapsed
        )

    async def _query(
        self, http: web.Request, request: QueryRequest, sql: bytes, session: Session, query_id: str
    ) -> web.StreamResponse:
        await self._run(self._admission.check, sql, request.parameters)
        output_format = trailing_format(sql) or request.output_format
        streamable = (
            not request.buffered
            and output_format in _STREAMABLE
            and first_word(sql) in (b"SELECT", b"WITH")
        )
        if streamable:
            return await self._stream(http, sql, output_format, session, query_id)
        result = await self._run(session.query, sql, output_format)
        headers = self._headers(query_id, result.statistics)
        if has_result(sql):
            headers["X-ClickHouse-Format"] = output_format
        return web.Response(body=result.body, headers=headers)

    async def _stream(
        self, http: web.Request, sql: bytes, output_format: str, session: Session, query_id: str
    ) -> web.StreamResponse:
        blocks = session.stream(sql, output_format)
        try:
            # The first block comes before the head, so that most errors get their proper status.
            block = await self._run(_next, blocks)
            tag = secrets.token_hex(8)
            headers = self._headers(query_id, Statistics())
            headers["X-ClickHouse-Format"] = output_format
            headers["X-ClickHouse-Exception-Tag"] = tag
            response = web.StreamResponse(headers=headers)
            await response.prepare(http)
            try:
                while block is not None:
                    await response.write(block)
                    block = await self._run(_next, blocks)
            except EngineError as error:
                await response.write(_late_error(error, tag))
            await response.write_eof()
            return response
        finally:
            await self._run(blocks.close)

    async def _run(self, call: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, lambda: call(*args, **kwargs))

    def _check_statement(self, size: int) -> None:
        if size > self._limits.statement_bytes:
            raise too_large(f"a statement is longer than {self._limits.statement_bytes} bytes")

    def _headers(self, query_id: str, statistics: Statistics) -> dict[str, str]:
        summary = {
            "read_rows": str(statistics.read_rows),
            "read_bytes": str(statistics.read_bytes),
            "written_rows": str(statistics.written_rows),
            "written_bytes": str(statistics.written_bytes),
            "elapsed_ns": str(int(statistics.elapsed_s * 1e9)),
        }
        return {
            "X-ClickHouse-Query-Id": query_id,
            "X-ClickHouse-Server-Display-Name": "ragwheel-embedded",
            "X-ClickHouse-Summary": orjson.dumps(summary).decode(),
            "X-ClickHouse-Timezone": "UTC",
            "Content-Type": "application/octet-stream",
        }

    def _failure(self, error: EngineError, query_id: str) -> web.Response:
        message = error.message
        if "(version " not in message:
            message = f"{message} (version {self._version})"
        headers = self._headers(query_id, Statistics())
        headers["X-ClickHouse-Exception-Code"] = str(error.code)
        headers["Content-Type"] = "text/plain; charset=UTF-8"
        return web.Response(
            status=status_of(error.code), body=f"{message}\n".encode(), headers=headers
        )


def _next(blocks: Iterator[bytes]) -> bytes | None:
    # StopIteration cannot cross an executor's future.
    return next(blocks, None)


def _late_error(error: EngineError, tag: str) -> bytes:
    """An error after the head was sent, in the form that servers since 25.11 send it."""
    message = error.message.encode()
    marker = b"__exception__\r\n"
    footer = b"\n%d %s\r\n" % (len(message) + 1, tag.encode())
    return b"\r\n" + marker + tag.encode() + b"\r\n" + message + footer + marker
