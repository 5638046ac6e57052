"""The ASGI application: every route, and the encode thread behind them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ragwheel.backends.telemetry import Telemetry
from ragwheel.schemas.settings import ServingSettings
from ragwheel.serving import gauges
from ragwheel.serving.answering import Answering
from ragwheel.serving.batching import WaitingRoom
from ragwheel.serving.contracts import Follower
from ragwheel.serving.encode_thread import EncodeThread
from ragwheel.serving.recent_vectors import RecentVectors
from ragwheel.serving.reception import Api, Reception, RouteAnswer, refused
from ragwheel.serving.refusals import Refusal
from ragwheel.serving.routes import cohere_api, jina_api, openai_api, probes, tei_api

#: Seconds between two looks at which model serves, and turns of the event loop.
_LOOK_S = 1.0
#: No answer and no batch holds the event loop for so long.
_SILENCE_S = 60.0
_MB = 1_000_000


def create_app(settings: ServingSettings, follower: Follower, telemetry: Telemetry) -> Starlette:
    """The server of what `follower` says, ready when its lifespan has begun.

    At its end it answers what waits. Needs an ASGI server that runs the lifespan.
    """
    room = WaitingRoom(settings.serving_max_batch_tokens)
    thread = EncodeThread(room, telemetry, settings.serving_max_queue)
    recent = RecentVectors(settings.serving_cache_mb * _MB)
    answering = Answering(follower, thread, recent, telemetry, settings.serving_max_texts)
    keys = [key.strip().encode() for key in settings.serving_keys.get_secret_value().split(",")]
    reception = Reception(
        answering, telemetry, [key for key in keys if key], settings.serving_max_body_bytes
    )

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        thread.start()
        looking = asyncio.create_task(_look(follower, telemetry))
        try:
            yield
        finally:
            looking.cancel()
            with suppress(asyncio.CancelledError):
                await looking
            await thread.close()

    app = Starlette(
        routes=_routes(reception, thread, telemetry),
        lifespan=lifespan,
        exception_handlers={HTTPException: _no_such_route},
    )
    app.state.encode_thread = thread
    return app


def _routes(reception: Reception, thread: EncodeThread, telemetry: Telemetry) -> list[Route]:
    openai, cohere, tei, jina = openai_api.OPENAI, cohere_api.COHERE, tei_api.TEI, jina_api.JINA

    def route(
        path: str, method: str, api: Api, answer: RouteAnswer, *, is_open: bool = False
    ) -> Route:
        handle = reception.endpoint(path, api, answer, is_open=is_open)
        return Route(path, handle, methods=[method])

    return [
        route("/v1/embeddings", "POST", openai, openai_api.embeddings),
        route("/v1/models", "GET", openai, openai_api.models),
        route("/v1/rerank", "POST", jina, jina_api.rerank),
        route("/v2/embed", "POST", cohere, cohere_api.embed),
        route("/v2/rerank", "POST", cohere, cohere_api.rerank),
        route("/embed", "POST", tei, tei_api.embed),
        route("/rerank", "POST", tei, tei_api.rerank),
        route("/info", "GET", tei, tei_api.info),
        route("/livez", "GET", tei, probes.alive(thread), is_open=True),
        route("/readyz", "GET", tei, probes.ready, is_open=True),
        route("/metrics", "GET", tei, probes.metrics_of(telemetry)),
    ]


async def _look(follower: Follower, telemetry: Telemetry) -> None:
    """Show which model serves; each look is a turn of the loop."""
    shown = ""
    while True:
        telemetry.turned(_SILENCE_S)
        if follower.state().ready:
            generation = follower.current()
            if generation.model_id != shown:
                gauges.show_in_service(telemetry, generation)
                shown = generation.model_id
        await asyncio.sleep(_LOOK_S)


async def _no_such_route(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    what = f"{request.method} {request.url.path} is no route of this server: see docs/serving.md"
    return refused(openai_api.OPENAI, Refusal(status, what, code="no_such_route"))
