"""A candidate over HTTP: whom it answers, and what is measured of it beside those it does not."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.rigs.following import DeclaredHere, Promoting
from tests.rigs.serving import ServedApp, served

from ragwheel.backends.telemetry import Telemetry
from ragwheel.models.encoder import load_encoder
from ragwheel.schemas import metrics
from ragwheel.serving.follow import ModelFollower
from ragwheel.serving.shadowing import share_of

IDS = [f"q-{number}" for number in range(40)]


async def answered_by(app: ServedApp, number: int, query_id: str) -> str:
    headers = {"x-ragwheel-query": query_id} if query_id else {}
    body = {"model": "ragwheel:query", "input": f"ask{number} ask{number + 1}"}
    answer = await app.client.post("/v1/embeddings", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.headers["x-ragwheel-model"]


async def test_a_candidate_answers_its_query_ids_and_is_measured_on_the_others(
    tmp_path: Path,
) -> None:
    promoting, telemetry = Promoting.at(tmp_path), Telemetry("server")
    one, two = promoting.train(1), promoting.train(2)
    promoting.promote(one)
    promoting.shadow(two)
    settings = promoting.settings(
        serving_candidate=two, serving_canary_share=0.4, serving_shadow_share=1.0
    )
    declared = DeclaredHere(promoting.encoder().fingerprint)
    with ModelFollower(settings, telemetry, declarations=declared, listen=False) as follower:
        async with served(follower) as app:
            for number, query_id in enumerate(IDS):
                wanted = two if share_of(two, query_id) < 0.4 else one
                for _ in range(2):
                    assert await answered_by(app, number, query_id) == wanted
            assert await answered_by(app, 99, "") == one
            info = (await app.client.get("/info")).json()
            ready = (await app.client.get("/readyz")).json()
        while not telemetry.value(metrics.SERVING_SHADOW_OVERLAP, candidate=two):
            await asyncio.sleep(0.01)
        assert 0 < telemetry.value(metrics.SERVING_SHADOW_OVERLAP, candidate=two) < 1
    assert (info["model_id"], info["candidate"], info["alias"]) == (one, two, one)
    assert ready == {"status": "ready", "model_id": one, "alias": one, "swaps": 0}


async def test_a_model_is_checked_in_turn_with_what_is_answered(tmp_path: Path) -> None:
    promoting = Promoting.at(tmp_path)
    one, two = promoting.train(1), promoting.train(2)
    promoting.promote(one)
    with promoting.follower() as follower:
        async with served(follower) as app:
            follower.take_turns(app.in_turn)
            promoting.promote(two)
            before = app.telemetry.value(metrics.SERVING_BATCHES)
            await asyncio.to_thread(follower.look)
            assert app.telemetry.value(metrics.SERVING_BATCHES) >= before + 8
            assert await answered_by(app, 1, "") == two
        query = follower.current().query
        wanted = promoting.registry.get(two).query_encoder
        assert query.fingerprint == load_encoder(wanted, 64).fingerprint
