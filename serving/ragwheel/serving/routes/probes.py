"""`/livez`, `/readyz` and `/metrics`."""

from __future__ import annotations

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import Response

from ragwheel.backends.telemetry import Telemetry
from ragwheel.serving.encode_thread import EncodeThread
from ragwheel.serving.reception import Call, Reply, RouteAnswer
from ragwheel.serving.refusals import Refusal


def alive(thread: EncodeThread) -> RouteAnswer:
    """`GET /livez`: whether this process can answer at all; if not, start it again."""

    async def answer(call: Call) -> Reply:
        if not thread.alive:
            raise Refusal(503, "the encode thread has ended", code="dead")
        return Reply({"status": "alive"})

    return answer


async def ready(call: Call) -> Reply:
    """`GET /readyz`: whether a model serves, and whether it is the one that was promoted.

    It needs no key: why a model was refused is in `/info` once another serves.
    """
    state = call.answering.follower.state()
    if not state.ready:
        why = f": {state.last_refusal}" if state.last_refusal else ""
        raise Refusal(503, f"no model serves yet{why}", code="not_ready", retry_after_s=1)
    generation = call.generation()
    content = {
        "status": "ready",
        "model_id": generation.model_id,
        "alias": state.alias,
        "swaps": state.swaps,
    }
    return Reply(content, generation.model_id, generation.document_fingerprint)


def metrics_of(telemetry: Telemetry) -> RouteAnswer:
    """`GET /metrics`: what `RAGWHEEL_METRICS_PORT` serves, for whoever has a key."""

    async def answer(call: Call) -> Reply:
        text = generate_latest(telemetry.registry)
        return Reply(Response(text, media_type=CONTENT_TYPE_LATEST))

    return answer
