"""Every route: what comes back, in whose shape, and what is refused with which words."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import numpy as np
import pytest
from tests.rigs.serving import (
    DIMENSION,
    FixedFollower,
    SeenEncoder,
    ServedApp,
    Switch,
    WordReranker,
    generation,
    served,
)

from ragwheel.models.encoder import Side, Vectors
from ragwheel.schemas import metrics
from ragwheel.serving.contracts import FollowState, InService

TEXTS = ["what is a wheel", "who drives"]
#: Route → a body that it takes; the texts are filled in.
EMBED: dict[str, dict[str, Any]] = {
    "/v1/embeddings": {"model": "ragwheel", "input": TEXTS},
    "/v2/embed": {"model": "ragwheel", "input_type": "search_query", "texts": TEXTS},
    "/embed": {"inputs": TEXTS},
}
RERANK: dict[str, dict[str, Any]] = {
    "/v1/rerank": {"model": "ragwheel", "query": "a b", "documents": ["x", "a b", "a y"]},
    "/v2/rerank": {"model": "ragwheel", "query": "a b", "documents": ["x", "a b", "a y"]},
    "/rerank": {"query": "a b", "texts": ["x", "a b", "a y"]},
}
TEXTS_FIELD = {"/v1/embeddings": "input", "/v2/embed": "texts", "/embed": "inputs"}


def promoted(**how: Any) -> tuple[SeenEncoder, SeenEncoder, FixedFollower]:
    query, base = SeenEncoder("trained", **how), SeenEncoder("base")
    return query, base, FixedFollower(generation(query, base))


def told(route: str, body: Any) -> str:
    """The message of an error; the shape is that of the route's API, or this fails."""
    if route in ("/v1/embeddings", "/v1/models"):
        assert set(body) == {"error"}
        assert set(body["error"]) == {"message", "type", "param", "code"}
        return str(body["error"]["message"])
    if route.startswith("/v2"):
        assert set(body) == {"id", "message"}
        return str(body["message"])
    if route == "/v1/rerank":
        assert set(body) == {"detail"}
        return str(body["detail"])
    assert set(body) == {"error", "error_type"}
    return str(body["error"])


def vectors_of(route: str, body: Any) -> Vectors:
    if route == "/v1/embeddings":
        body = [each["embedding"] for each in body["data"]]
    elif route == "/v2/embed":
        body = body["embeddings"]["float"]
    return np.array(body, np.float32)


@pytest.mark.parametrize("route", EMBED)
async def test_every_api_gets_the_same_vectors_and_is_told_whose_they_are(route: str) -> None:
    query, _, follower = promoted()
    async with served(follower) as app:
        answer = await app.client.post(route, json=EMBED[route])
    assert answer.status_code == 200
    expected = [query.vector(text, "query") for text in TEXTS]
    np.testing.assert_array_equal(vectors_of(route, answer.json()), expected)
    assert answer.headers["x-ragwheel-model"] == "model-1"
    assert answer.headers["x-ragwheel-documents"] == "space of base"
    assert answer.headers["x-ragwheel-role"] == "query"
    assert app.telemetry.value(metrics.SERVING_REQUESTS, route=route, code="200") == 1


@pytest.mark.parametrize(
    ("route", "field", "value", "side"),
    [
        ("/v1/embeddings", "model", "ragwheel:document", "document"),
        ("/v1/embeddings", "model", "model-1:query", "query"),
        ("/v1/embeddings", "input_type", "passage", "document"),
        ("/v1/embeddings", "task", "retrieval.passage", "document"),
        ("/v2/embed", "input_type", "search_document", "document"),
        ("/v2/embed", "input_type", "search_query", "query"),
        ("/embed", "prompt_name", "passage", "document"),
        ("/embed", "prompt_name", "query", "query"),
    ],
)
async def test_the_role_that_is_said_is_the_encoder_that_answers(
    route: str, field: str, value: str, side: Side
) -> None:
    query, base, follower = promoted()
    async with served(follower) as app:
        answer = await app.client.post(route, json=EMBED[route] | {field: value})
    assert answer.headers["x-ragwheel-role"] == side
    assert (query if side == "query" else base).batches == [(side, TEXTS)]
    assert not (base if side == "query" else query).batches


async def test_base64_is_little_endian_float32_and_equals_float_in_every_bit() -> None:
    _, _, follower = promoted()
    bodies = EMBED["/v1/embeddings"]
    async with served(follower, serving_cache_mb=0) as app:
        plain = await app.client.post("/v1/embeddings", json=bodies | {"encoding_format": "float"})
        packed = await app.client.post(
            "/v1/embeddings", json=bodies | {"encoding_format": "base64"}
        )
        cohere = await app.client.post(
            "/v2/embed", json=EMBED["/v2/embed"] | {"embedding_types": ["float", "base64"]}
        )
    raw = [base64.b64decode(each["embedding"]) for each in packed.json()["data"]]
    unpacked = np.array([np.frombuffer(each, "<f4") for each in raw])
    floats = vectors_of("/v1/embeddings", plain.json())
    assert floats.tobytes() == unpacked.astype(np.float32).tobytes()
    found = cohere.json()["embeddings"]
    assert [base64.b64decode(each) for each in found["base64"]] == raw
    np.testing.assert_array_equal(np.array(found["float"], np.float32), floats)


async def test_a_single_text_is_as_good_as_a_list() -> None:
    _, _, follower = promoted()
    async with served(follower) as app:
        one = await app.client.post("/v1/embeddings", json={"model": "ragwheel", "input": "a b"})
        tei = await app.client.post("/embed", json={"inputs": "a b"})
    assert len(one.json()["data"]) == len(tei.json()) == 1
    assert one.json()["usage"] == {"prompt_tokens": 4, "total_tokens": 4}
    assert one.json()["model"] == "model-1"


@pytest.mark.parametrize("ids", [[1, 2], [[1, 2], [3]]])
async def test_token_ids_are_refused_with_the_setting_that_sends_texts(ids: Any) -> None:
    _, _, follower = promoted()
    async with served(follower) as app:
        answer = await app.client.post("/v1/embeddings", json={"model": "ragwheel", "input": ids})
    assert answer.status_code == 400
    assert "check_embedding_ctx_length=False" in told("/v1/embeddings", answer.json())


@pytest.mark.parametrize("route", EMBED)
@pytest.mark.parametrize(
    ("texts", "status", "words"),
    [
        ([], 400, "there is no text"),
        (["a", ""], 400, "[1]: the text is empty"),
        (["  \n"], 400, "the text is empty"),
        (["x" * 70_000], 413, "70000 characters, and a text may have 65536"),
        (["a"] * 11, 413, "11 texts, and one request may have 10"),
        (["a", None], 400, "1"),
        ({"a": 1}, 400, ""),
    ],
)
async def test_texts_without_a_vector_are_refused_in_the_shape_of_the_api(
    route: str, texts: Any, status: int, words: str
) -> None:
    query, _, follower = promoted()
    async with served(follower, serving_max_texts=10) as app:
        answer = await app.client.post(route, json=EMBED[route] | {TEXTS_FIELD[route]: texts})
    assert answer.status_code == status
    message = told(route, answer.json())
    assert words in message
    assert TEXTS_FIELD[route] in message
    assert not query.batches


@pytest.mark.parametrize("route", [*EMBED, *RERANK])
@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[1]", b'{"x": "\xff"}', b'{"input": "\\ud800"}', b'{"texts": ["\\udfff"]}'],
)
async def test_what_is_no_json_is_refused_halves_of_surrogate_pairs_too(
    route: str, body: bytes
) -> None:
    _, _, follower = promoted()
    async with served(follower) as app:
        answer = await app.client.post(route, content=body)
    assert answer.status_code == 400
    assert told(route, answer.json())


@pytest.mark.parametrize(
    ("route", "field", "value", "status", "words"),
    [
        ("/v1/embeddings", "model", "gpt", 404, "'gpt' does not serve here; there are ragwheel"),
        ("/v2/embed", "model", "gpt", 404, "'gpt' does not serve here; there are ragwheel"),
        ("/v1/embeddings", "input_type", "code", 400, "'code' is no role"),
        ("/v2/embed", "input_type", "code", 400, "'code' is no role"),
        ("/embed", "prompt_name", "code", 400, "'code' is no role"),
        ("/v2/embed", "input_type", "clustering", 400, "search_query or search_document"),
        ("/v1/embeddings", "dimensions", 4, 400, f"4, and the model's vectors have {DIMENSION}"),
        ("/embed", "dimensions", 4, 400, f"4, and the model's vectors have {DIMENSION}"),
        ("/v2/embed", "output_dimension", 4, 400, f"the model's vectors have {DIMENSION}"),
        *(
            ("/v2/embed", "embedding_types", ["float", kind], 400, f"'{kind}' is not made here")
            for kind in ("int8", "uint8", "binary", "ubinary")
        ),
        ("/v2/embed", "truncate", "NONE", 400, "'NONE' is not done here: texts are cut at the end"),
        ("/v2/embed", "truncate", "START", 400, "send END"),
        ("/v2/embed", "texts", None, 400, "reads texts only"),
        ("/embed", "truncate", False, 400, "truncate: false, and texts are cut here"),
        ("/embed", "truncation_direction", "Left", 400, "'Left', and texts are cut at the end"),
        ("/embed", "normalize", False, 400, "normalize: false, and vectors have length 1 here"),
        ("/v1/embeddings", "encoding_format", "hex", 400, "encoding_format"),
    ],
)
async def test_a_wrong_field_is_refused_with_the_fix(
    route: str, field: str, value: Any, status: int, words: str
) -> None:
    _, _, follower = promoted()
    async with served(follower) as app:
        answer = await app.client.post(route, json=EMBED[route] | {field: value})
        right = await app.client.post(route, json=EMBED[route] | {"dimensions": DIMENSION})
    assert answer.status_code == status
    assert words in told(route, answer.json())
    assert right.status_code == 200


async def test_cohere_demands_the_role() -> None:
    _, _, follower = promoted()
    async with served(follower) as app:
        answer = await app.client.post("/v2/embed", json={"model": "ragwheel", "texts": TEXTS})
    assert answer.status_code == 400
    assert "input_type" in told("/v2/embed", answer.json())


@pytest.mark.parametrize("route", EMBED)
async def test_a_model_that_makes_nan_is_an_error_that_names_it(route: str) -> None:
    query, _, follower = promoted(broken=True)
    async with served(follower) as app:
        answer = await app.client.post(route, json=EMBED[route])
        again = await app.client.post(route, json=EMBED[route])
    assert (answer.status_code, again.status_code) == (500, 500)
    assert "model model-1 failed: it made numbers that are none" in told(route, answer.json())
    assert app.telemetry.value(metrics.SERVING_REQUESTS, route=route, code="500") == 2
    assert app.telemetry.value(metrics.SERVING_ENCODE_ERRORS) == 4
    assert len(query.batches) == 6, "what failed is not kept"


@pytest.mark.parametrize("route", RERANK)
async def test_reranking_is_absent_with_a_reason_until_a_reranker_is_promoted(route: str) -> None:
    _, _, follower = promoted()
    async with served(follower) as app:
        answer = await app.client.post(route, json=RERANK[route])
    assert answer.status_code == 404
    assert "no reranker was promoted beside model model-1" in told(route, answer.json())


async def test_each_reranking_api_gets_its_own_shape_best_first() -> None:
    follower = FixedFollower(generation(SeenEncoder(), reranker=WordReranker()))
    async with served(follower) as app:
        tei = await app.client.post("/rerank", json=RERANK["/rerank"] | {"return_text": True})
        bare = await app.client.post("/rerank", json=RERANK["/rerank"])
        jina = await app.client.post("/v1/rerank", json=RERANK["/v1/rerank"] | {"top_n": 2})
        objects = await app.client.post(
            "/v1/rerank",
            json=RERANK["/v1/rerank"]
            | {"documents": [{"text": "a b"}, "x"], "return_documents": False},
        )
        cohere = await app.client.post("/v2/rerank", json=RERANK["/v2/rerank"] | {"top_n": 1})
    assert tei.json() == [
        {"index": 1, "score": 1.0, "text": "a b"},
        {"index": 2, "score": 0.5, "text": "a y"},
        {"index": 0, "score": 0.0, "text": "x"},
    ]
    assert bare.json()[0] == {"index": 1, "score": 1.0}
    assert jina.json() == {
        "model": "reranker-1",
        "usage": {"total_tokens": 15, "prompt_tokens": 15},
        "results": [
            {"index": 1, "relevance_score": 1.0, "document": {"text": "a b"}},
            {"index": 2, "relevance_score": 0.5, "document": {"text": "a y"}},
        ],
    }
    assert [each["index"] for each in objects.json()["results"]] == [0, 1]
    assert "document" not in objects.json()["results"][0]
    assert cohere.json()["results"] == [{"index": 1, "relevance_score": 1.0}]
    assert {"id", "results", "meta"} == set(cohere.json())
    assert cohere.headers["x-ragwheel-model"] == "reranker-1"


@pytest.mark.parametrize(
    ("route", "field", "value", "status"),
    [
        ("/v1/rerank", "model", "cross-encoder", 404),
        ("/v2/rerank", "model", "cross-encoder", 404),
        ("/v1/rerank", "documents", [], 400),
        ("/v2/rerank", "documents", ["a", ""], 400),
        ("/rerank", "texts", ["a"] * 11, 413),
        ("/rerank", "query", " ", 400),
        ("/rerank", "raw_scores", True, 400),
        ("/v2/rerank", "top_n", 0, 400),
    ],
)
async def test_a_wrong_reranking_is_refused_in_the_shape_of_the_api(
    route: str, field: str, value: Any, status: int
) -> None:
    follower = FixedFollower(generation(SeenEncoder(), reranker=WordReranker()))
    async with served(follower, serving_max_texts=10) as app:
        answer = await app.client.post(route, json=RERANK[route] | {field: value})
    assert answer.status_code == status
    assert field in told(route, answer.json())


async def test_keys_are_asked_for_everywhere_but_at_the_probes() -> None:
    _, _, follower = promoted()
    async with served(follower, serving_keys="first, second") as app:
        for route in ("/info", "/v1/models", "/metrics"):
            assert (await app.client.get(route)).status_code == 401
        for header in ("", "Bearer", "Bearer wrong", "Basic first", "Bearer first, second"):
            headers = {"authorization": header}
            refused = await app.client.post("/embed", json=EMBED["/embed"], headers=headers)
            assert refused.status_code == 401
            assert "RAGWHEEL_SERVING_KEYS" in told("/embed", refused.json())
            assert refused.headers["www-authenticate"] == "Bearer"
        for key in ("first", "second"):
            headers = {"authorization": f"Bearer {key}"}
            answer = await app.client.post("/embed", json=EMBED["/embed"], headers=headers)
            assert answer.status_code == 200
        assert (await app.client.get("/livez")).status_code == 200
        assert (await app.client.get("/readyz")).status_code == 200


@pytest.mark.parametrize("route", [*EMBED, *RERANK])
async def test_a_body_above_the_limit_is_refused_before_it_is_read_whole(route: str) -> None:
    _, _, follower = promoted()
    async with served(follower, serving_max_body_bytes=2_000) as app:
        answer = await app.client.post(route, content=b"x" * 2_001)
    assert answer.status_code == 413
    assert "longer than 2000 bytes" in told(route, answer.json())


async def test_info_and_models_say_what_serves_and_how_a_role_is_said() -> None:
    _, _, follower = promoted(prompts={"query": "query: "})
    async with served(follower) as app:
        info = (await app.client.get("/info")).json()
        models = (await app.client.get("/v1/models")).json()
        scraped = (await app.client.get("/metrics")).text
    assert info["model_id"] == "model-1"
    assert info["document_fingerprint"] == "space of base"
    assert info["roles"]["unsaid"] == "query"
    assert info["roles"]["matters"] is True
    assert info["prompts"] == {"query": "query: ", "document": ""}
    ids = [each["id"] for each in models["data"]]
    assert {"ragwheel", "ragwheel:document", "model-1:query", "base/model"} <= set(ids)
    assert 'ragwheel_serving_model_info{documents="space of base",model="model-1"} 1.0' in scraped


async def test_an_unknown_route_says_so() -> None:
    _, _, follower = promoted()
    async with served(follower) as app:
        assert (await app.client.get("/nope")).status_code == 404
        assert (await app.client.get("/embed")).status_code == 405


async def test_after_a_swap_no_vector_of_the_old_model_is_served() -> None:
    first, second = SeenEncoder("first"), SeenEncoder("second")
    switch = Switch(generation(first, SeenEncoder("base")))
    async with served(switch) as app:
        for _ in range(2):
            old = await app.client.post("/embed", json=EMBED["/embed"])
        switch.now = generation(second, SeenEncoder("base"))
        new = await app.client.post("/embed", json=EMBED["/embed"])
    np.testing.assert_array_equal(
        vectors_of("/embed", old.json()), [first.vector(text, "query") for text in TEXTS]
    )
    np.testing.assert_array_equal(
        vectors_of("/embed", new.json()), [second.vector(text, "query") for text in TEXTS]
    )
    assert len(first.batches) == 1, "the second time they were found"
    assert app.telemetry.value(metrics.SERVING_CACHE_LOOKUPS, outcome="hit") == len(TEXTS)


async def test_vectors_of_another_arithmetic_are_another_models() -> None:
    """They agree to a cosine of .9999, and the document role promises 1e-6."""
    exact, rounded = SeenEncoder("m"), SeenEncoder("m", arithmetic="bf16")
    switch = Switch(generation(exact))
    async with served(switch) as app:
        await app.client.post("/embed", json=EMBED["/embed"])
        switch.now = generation(rounded)
        await app.client.post("/embed", json=EMBED["/embed"])
    assert (exact.batches, rounded.batches) == ([("query", TEXTS)], [("query", TEXTS)])


class NothingYet(Switch):
    """Nothing serves yet."""

    def serving(self, query_id: str | None) -> InService:
        from ragwheel.schemas.errors import UnavailableError

        raise UnavailableError("the first model is being loaded")

    def state(self) -> Any:
        return FollowState(ready=False, last_refusal="hash differs")


@pytest.mark.parametrize("route", EMBED)
async def test_until_a_model_serves_a_server_lives_and_is_not_ready(route: str) -> None:
    async with served(NothingYet(generation(SeenEncoder()))) as app:
        answer = await app.client.post(route, json=EMBED[route])
        ready = await app.client.get("/readyz")
        assert (await app.client.get("/livez")).status_code == 200
    assert (answer.status_code, ready.status_code) == (503, 503)
    assert "being loaded" in told(route, answer.json())
    assert "hash differs" in told("/readyz", ready.json())
    assert answer.headers["retry-after"] == "1"


async def saturated(app: ServedApp, encoder: SeenEncoder) -> list[asyncio.Task[Any]]:
    """One batch that runs until `encoder.free`, and one text that waits."""
    encoder.free.clear()
    tasks = [asyncio.create_task(app.client.post("/embed", json={"inputs": "first"}))]
    assert await asyncio.to_thread(encoder.begun.wait, 60)
    tasks.append(asyncio.create_task(app.client.post("/embed", json={"inputs": "second"})))
    while app.telemetry.value(metrics.SERVING_CACHE_LOOKUPS, outcome="miss") < 2:
        await asyncio.sleep(0.001)
    return tasks


@pytest.mark.parametrize("route", EMBED)
async def test_overload_is_refused_with_a_time_to_come_back_and_who_was_let_in_is_served(
    route: str,
) -> None:
    query, _, follower = promoted()
    async with served(follower, serving_max_queue=2) as app:
        tasks = await saturated(app, query)
        refused = await app.client.post(route, json=EMBED[route])
        query.free.set()
        answers = await asyncio.gather(*tasks)
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) >= 1
    assert "too many requests wait" in told(route, refused.json())
    assert [each.status_code for each in answers] == [200, 200]


async def test_documents_that_wait_refuse_no_query() -> None:
    query, base, follower = promoted()
    async with served(follower, serving_max_queue=2) as app:
        tasks = await saturated(app, query)
        document = asyncio.create_task(
            app.client.post("/embed", json={"inputs": TEXTS, "prompt_name": "document"})
        )
        while app.telemetry.value(metrics.SERVING_CACHE_LOOKUPS, outcome="miss") < 4:
            await asyncio.sleep(0.001)
        query.free.set()
        answers = await asyncio.gather(*tasks, document)
    assert [each.status_code for each in answers] == [200, 200, 200]
    assert base.batches == [("document", TEXTS)]
