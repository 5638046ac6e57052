"""What every route does around its answer: keys, limits, errors, headers, and callers that hang up.

An answer is a coroutine from a `Call` to a `Reply`; what it refuses is written in the shape of its
API. Nothing that a caller sends is logged.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from ragwheel.backends.telemetry import Telemetry
from ragwheel.serving import gauges
from ragwheel.serving.answering import Answering
from ragwheel.serving.asking import ALIAS, AskedFor, Unsaid
from ragwheel.serving.contracts import InService
from ragwheel.serving.refusals import Refusal, too_large, wrong

_LOG = logging.getLogger(__name__)
_Body = TypeVar("_Body", bound=BaseModel)
_Result = TypeVar("_Result")

#: As nginx says it: the caller closed the connection.
_HUNG_UP = 499
#: Names a query; a canary serves the same one each time.
QUERY_HEADER = "x-ragwheel-query"


@dataclass(frozen=True, slots=True)
class Reply:
    """What is sent: `content` as JSON, and who made it."""

    content: Any
    model: str = ""
    documents: str = ""
    role: str = ""


@dataclass(frozen=True, slots=True)
class Api:
    """Somebody's API.

    Attributes:
        name: for messages.
        error: what a refusal looks like there.
    """

    name: str
    error: Callable[[Refusal], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Call:
    """One request, read whole."""

    request: Request
    raw: bytes
    answering: Answering
    unsaid: Unsaid

    def body(self, kind: type[_Body]) -> _Body:
        """The body as `kind`.

        Raises:
            Refusal: 400, naming the field and what it must be.
        """
        try:
            found = orjson.loads(self.raw)
        except orjson.JSONDecodeError as error:
            raise Refusal(
                400,
                f"the body is no JSON ({error}): send UTF-8 without halves of surrogate pairs",
                code="invalid_json",
            ) from None
        try:
            return kind.model_validate(found)
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False)[0]
            where = ".".join(map(str, first["loc"])) or "body"
            raise wrong(where, first["msg"]) from None

    def asked(self, model: str | None = None, role: str | None = None) -> AskedFor:
        """Which model and role; a caller that does not say its role is told once, in the log.

        Raises:
            Refusal: 404, 400 or 503, see `asking.asked`.
        """
        what = self.answering.asked(self.query_id, model or ALIAS, role)
        self.unsaid.note(self._caller, what)
        return what

    def generation(self) -> InService:
        """What serves this query."""
        return self.answering.generation(self.query_id)

    @property
    def query_id(self) -> str | None:
        """The query's id, where the caller sends one."""
        return self.request.headers.get(QUERY_HEADER)

    @property
    def _caller(self) -> str:
        host = self.request.client.host if self.request.client else "somebody"
        return f"{host} ({self.request.headers.get('user-agent', 'no user agent')[:80]})"


RouteAnswer = Callable[[Call], Awaitable[Reply]]


@dataclass(frozen=True, slots=True)
class Reception:
    """Lets requests in and writes what comes of them.

    Attributes:
        keys: callers send one of them; none: everybody may ask.
        max_body_bytes: of a request.
    """

    answering: Answering
    telemetry: Telemetry
    keys: Sequence[bytes]
    max_body_bytes: int
    unsaid: Unsaid = field(default_factory=Unsaid)

    def endpoint(
        self, route: str, api: Api, answer: RouteAnswer, *, is_open: bool = False
    ) -> Callable[[Request], Awaitable[Response]]:
        """`answer` as Starlette wants it.

        Args:
            is_open: without a key, as probes come.
        """

        async def handle(request: Request) -> Response:
            began = perf_counter()
            try:
                if not is_open:
                    self._require_key(request)
                call = Call(request, await self._read(request), self.answering, self.unsaid)
                response = _written(await _unless_hung_up(request, answer(call)))
            except Refusal as refusal:
                response = refused(api, refusal)
            except ClientDisconnect:
                response = Response(status_code=_HUNG_UP)
            except Exception:  # noqa: BLE001 - the edge of a request, which must not end the process
                _LOG.exception("%s failed", route)
                problem = "the server failed, and its log says why"
                response = refused(api, Refusal(500, problem, code="internal"))
            seconds = perf_counter() - began
            gauges.show_answer(self.telemetry, route, response.status_code, seconds)
            return response

        return handle

    def _require_key(self, request: Request) -> None:
        if not self.keys:
            return
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        # All are compared, each in the same time whatever it is: the time tells nothing of a key.
        same = [hmac.compare_digest(given.strip().encode(), key) for key in self.keys]
        if scheme.lower() != "bearer" or not any(same):
            raise Refusal(
                401,
                "a key of RAGWHEEL_SERVING_KEYS is needed: send it as `Authorization: Bearer KEY`",
                code="invalid_api_key",
            )

    async def _read(self, request: Request) -> bytes:
        parts: list[bytes] = []
        size = int(request.headers.get("content-length") or 0)
        async for part in request.stream():
            size = max(size, sum(map(len, parts)) + len(part))
            if size > self.max_body_bytes:
                break
            parts.append(part)
        if size > self.max_body_bytes:
            raise too_large(
                "", f"the body is longer than {self.max_body_bytes} bytes: send fewer texts at once"
            )
        return b"".join(parts)


def refused(api: Api, refusal: Refusal) -> Response:
    """A refusal as its API writes it."""
    headers = {"retry-after": str(refusal.retry_after_s)} if refusal.retry_after_s else {}
    if refusal.status == 401:
        headers["www-authenticate"] = "Bearer"
    return Response(
        orjson.dumps(api.error(refusal)), refusal.status, headers, media_type="application/json"
    )


def _written(reply: Reply) -> Response:
    if isinstance(reply.content, Response):
        return reply.content
    told = {
        "x-ragwheel-model": reply.model,
        "x-ragwheel-documents": reply.documents,
        "x-ragwheel-role": reply.role,
    }
    return Response(
        orjson.dumps(reply.content, option=orjson.OPT_SERIALIZE_NUMPY),
        # A folder's name may hold anything, a header may not.
        headers={
            name: value.encode("ascii", "backslashreplace").decode()
            for name, value in told.items()
            if value
        },
        media_type="application/json",
    )


async def _unless_hung_up(request: Request, answer: Awaitable[_Result]) -> _Result:
    """The answer; it is given up when the caller closes the connection.

    Raises:
        ClientDisconnect: it did.
    """
    work = asyncio.ensure_future(answer)
    end = asyncio.ensure_future(request.receive())
    try:
        await asyncio.wait({work, end}, return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            return work.result()
        raise ClientDisconnect
    finally:
        work.cancel()
        end.cancel()
