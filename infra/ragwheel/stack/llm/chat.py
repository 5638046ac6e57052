"""An OpenAI-compatible chat server on loopback, for tests and the demo.

POST /v1/chat/completions and GET /v1/models are the API; the rest is for its owner:
GET  /tally           what was asked, for comparison with what the asker believes
PUT  /faults          {"script": [{"kind": "rate_limit", "seconds": 2, "count": 3}],
                       "rates": [{"kind": "missing", "rate": 0.05}], "seed": 7,
                       "json_schema": true}    replaces the configuration; {} ends all faults
"""

from __future__ import annotations

import asyncio
from collections import Counter
from time import monotonic
from typing import Any

import orjson
from aiohttp import web

from ragwheel.schemas import identity
from ragwheel.stack.llm.brains import Brain
from ragwheel.stack.llm.faults import Fault, Faults, parse_fault
from ragwheel.stack.llm.reply import AskedPassages, completion, read_prompt
from ragwheel.stack.llm.strict_limiter import StrictLimiter

#: Largest request, bytes.
_MAX_BODY = 16 * 1024 * 1024
#: What a hung call does in the end; clients have long given up.
_HANG_LIMIT_S = 3_600.0
_INVALID = "invalid_request_error"


class Tally:
    """Counts of what was asked and how it was answered."""

    def __init__(self) -> None:
        self.requests = 0
        self.statuses: Counter[str] = Counter()
        self.models: Counter[str] = Counter()
        self.pairs: Counter[str] = Counter()
        self.input_tokens = 0
        self.output_tokens = 0

    def answered(self, model: str, asked: AskedPassages, usage: dict[str, int]) -> None:
        """A call that was answered with 200."""
        self.models[model] += 1
        for passage in asked.passages.values():
            self.pairs[identity.digest("pair", model, asked.query, passage)] += 1
        self.input_tokens += usage["prompt_tokens"]
        self.output_tokens += usage["completion_tokens"]

    def summary(self, faults: Faults) -> dict[str, Any]:
        """JSON form. `pairs_asked_again` counts answers beyond the first of a pair."""
        return {
            "requests": self.requests,
            "statuses": dict(self.statuses),
            "models": dict(self.models),
            "pairs": sum(self.pairs.values()),
            "distinct_pairs": len(self.pairs),
            "pairs_asked_again": sum(self.pairs.values()) - len(self.pairs),
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "faults": dict(faults.counts),
        }


class LlmServer:
    """The application, and where it is reached.

    Without `json_schema` a `response_format` of that type is answered with 400. With `limits` calls
    that come too fast are answered with 429, and every answer tells the limits.
    """

    def __init__(self, brain: Brain, models: tuple[str, ...], *, api_key: str = "") -> None:
        """Serve `models` with `brain`. With an `api_key`, other keys get a 401."""
        self.faults = Faults()
        self.tally = Tally()
        self.port = 0
        self._brain = brain
        self._models = models
        self._api_key = api_key
        self.json_schema = True
        self.limits: StrictLimiter | None = None

    @property
    def base_url(self) -> str:
        """What goes into RAGWHEEL_LLM_BASE_URL."""
        return f"http://127.0.0.1:{self.port}/v1"

    def runner(self) -> web.AppRunner:
        """The application, ready to be bound to an address; whoever binds it sets `port`."""
        app = web.Application(client_max_size=_MAX_BODY)
        app.add_routes(
            [
                web.post("/v1/chat/completions", self._complete),
                web.get("/v1/models", self._list_models),
                web.get("/tally", self._show_tally),
                web.put("/faults", self._configure),
            ]
        )
        return web.AppRunner(app, access_log=None, shutdown_timeout=0.5)

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        self.tally.requests += 1
        response = await self._respond(request)
        if self.limits is not None:
            response.headers.update(self.limits.headers())
        self.tally.statuses[str(response.status)] += 1
        return response

    async def _respond(self, request: web.Request) -> web.StreamResponse:
        if not self._authorized(request):
            return _error(401, "Incorrect API key provided.", "invalid_api_key")
        raw = await request.read()
        try:
            body = orjson.loads(raw)
            model, messages = body["model"], body["messages"]
        except (ValueError, KeyError, TypeError):
            return _error(400, "The body must be an object with model and messages.", _INVALID)
        if model not in self._models:
            return _error(404, f"The model {model!r} does not exist.", "model_not_found")
        wanted = body.get("response_format", {}).get("type")
        if wanted == "json_schema" and not self.json_schema:
            message = "response_format of type json_schema is not supported."
            return _error(400, message, _INVALID, "response_format")
        try:
            asked = read_prompt(messages)
        except (ValueError, KeyError, TypeError) as error:
            return _error(400, str(error), _INVALID, "messages")
        if self.limits is not None:
            wait_s = self.limits.admit(len(raw) // 4, monotonic())
            if wait_s is not None:
                return _error(429, "Rate limit reached.", "rate_limit_exceeded")
        fault = self.faults.next()
        if fault is not None and (early := await _transport_fault(request, fault)) is not None:
            return early
        grades = {
            opaque: self._brain.grade(model, asked.query, passage)
            for opaque, passage in asked.passages.items()
        }
        answer = completion(self.tally.requests, model, len(raw), grades, fault)
        self.tally.answered(model, asked, answer["usage"])
        return _json(200, answer)

    async def _list_models(self, request: web.Request) -> web.Response:
        if not self._authorized(request):
            return _error(401, "Incorrect API key provided.", "invalid_api_key")
        listed = [
            {"id": model, "object": "model", "created": 0, "owned_by": "ragwheel"}
            for model in self._models
        ]
        return _json(200, {"object": "list", "data": listed})

    async def _show_tally(self, _: web.Request) -> web.Response:
        return _json(200, self.tally.summary(self.faults))

    async def _configure(self, request: web.Request) -> web.Response:
        try:
            body = orjson.loads(await request.read())
            scripted = [
                (parse_fault(each), int(each.get("count", 1))) for each in body.get("script", [])
            ]
            rates = [(float(each["rate"]), parse_fault(each)) for each in body.get("rates", [])]
            seed = int(body.get("seed", 0))
            Faults().at_rates(rates, seed)  # refuses before anything changes
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            return _error(400, f"faults: {error}", _INVALID)
        self.faults.clear()
        self.faults.at_rates(rates, seed)
        for fault, count in scripted:
            self.faults.script(fault, count)
        self.json_schema = bool(body.get("json_schema", True))
        return _json(200, {"ok": True})

    def _authorized(self, request: web.Request) -> bool:
        return (
            not self._api_key or request.headers.get("Authorization") == f"Bearer {self._api_key}"
        )


async def _transport_fault(request: web.Request, fault: Fault) -> web.StreamResponse | None:
    """Faults that replace the answer; None lets the call go on."""
    if fault.kind == "rate_limit":
        limited = _error(429, "Rate limit reached.", "rate_limit_exceeded")
        limited.headers["Retry-After"] = f"{fault.seconds:g}"
        return limited
    if fault.kind == "server_error":
        return _error(500, "The server had an error.", "server_error")
    if fault.kind == "unauthorized":
        return _error(401, "Incorrect API key provided.", "invalid_api_key")
    if fault.kind == "broken_body":
        return web.Response(body=b'{"id": "chatcmpl-', content_type="application/json")
    if fault.kind == "hang":
        await asyncio.sleep(_HANG_LIMIT_S)
    elif fault.kind == "slow":
        await asyncio.sleep(fault.seconds)
    elif fault.kind == "disconnect":
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=499)
    return None


def _json(status: int, body: dict[str, Any]) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(body), content_type="application/json")


def _error(status: int, message: str, code: str, param: str | None = None) -> web.Response:
    error = {"message": message, "type": code, "code": code, "param": param}
    return _json(status, {"error": error})
