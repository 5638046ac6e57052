"""Its users' own libraries get from the server what they asked for, in the role that they said.

The clients run in an environment of their own (`make clients`), all in one process, against a real
socket. The model's two sides differ much: a vector is of one role only.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from tests.rigs.listening import HeardEncoder, base_encoder, listening, trained_encoder
from tests.rigs.serving import SINCE, FixedFollower, WordReranker

from ragwheel.backends.telemetry import Telemetry
from ragwheel.models.encoder import Side, TextEncoder
from ragwheel.serving.contracts import InService

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[3]
CLIENTS = ROOT / ".venv-clients" / "bin" / "python"
KEY, MAX_TEXTS = "key-1", 16

#: Client → how it asked → the role that must arrive.
ROLES: dict[str, dict[str, Side]] = {
    "openai": {
        "bare name": "query", "query": "query", "document": "document", "floats": "document",
        "input_type": "document",
    },
    "langchain-openai": {
        "bare name, embed_query": "query", "bare name, embed_documents": "query",
        "document": "document",
    },
    "cohere": {"search_query": "query", "search_document": "document"},
    "llama-index": {
        "bare name, query": "query", "bare name, text": "query", "query": "query",
        "document": "document",
    },
    "haystack": {"query": "query", "document": "document"},
    "our adapters": {
        f"{framework}, {role}": role
        for framework in ("LangChain", "LlamaIndex", "Haystack")
        for role in ("query", "document")
    },
}  # fmt: skip
WORDS = {
    "unknown model": "'gpt' does not serve here; there are ragwheel, model-1",
    "empty text": "the text is empty",
    "no key": "a key of RAGWHEEL_SERVING_KEYS is needed",
    "too many texts": "17 texts, and one request may have 16: send several",
}
OPENAI_KINDS = {
    "unknown model": "NotFoundError", "empty text": "BadRequestError",
    "no key": "AuthenticationError", "too many texts": "APIStatusError",
}  # fmt: skip
#: Client → what was wrong → what is raised there.
KINDS = {
    **dict.fromkeys(("openai", "langchain-openai", "llama-index", "haystack"), OPENAI_KINDS),
    "cohere": OPENAI_KINDS | {"no key": "UnauthorizedError", "too many texts": "ApiError"},
}


@dataclass(frozen=True)
class Listening:
    """The server, and what it heard."""

    url: str
    query: HeardEncoder
    document: HeardEncoder

    def came(self, text: str) -> list[Side]:
        """As what a text came, each time."""
        return self.query.roles_of(text) + self.document.roles_of(text)

    def post(self, route: str, body: Any, key: str = KEY) -> httpx.Response:
        headers = {"authorization": f"Bearer {key}"}
        return httpx.post(f"{self.url}{route}", json=body, headers=headers, timeout=60)

    def require_vectors(self, texts: list[str], role: Side, vectors: Any) -> None:
        """All came as `role` alone, and got the vectors that the model makes of it."""
        assert [self.came(text) for text in texts] == [[role]] * len(texts)
        encoder = self.query if role == "query" else self.document
        expected = TextEncoder.encode(encoder, texts, role)
        np.testing.assert_allclose(vectors, expected, rtol=0, atol=1e-6)


@pytest.fixture(scope="module")
def server() -> Iterator[Listening]:
    query, document = HeardEncoder(trained_encoder(1)), HeardEncoder(base_encoder())
    documents = document.fingerprint
    generation = InService(
        "model-1", "base/model", documents, query, document, SINCE, WordReranker()
    )
    settings = {"serving_keys": KEY, "serving_cache_mb": 0, "serving_max_texts": MAX_TEXTS}
    with listening(FixedFollower(generation), Telemetry("server"), **settings) as url:
        yield Listening(url, query, document)


@pytest.fixture(scope="module")
def found(server: Listening) -> dict[str, Any]:
    """What each client got; a missing environment is CI's fault, and a developer's choice."""
    if not CLIENTS.exists():
        if os.environ.get("RAGWHEEL_CI"):
            pytest.fail("CI makes the environment of real clients: make clients")
        pytest.skip("`make clients` makes the environment of real clients")
    # -I: what lies beside the script must not stand in for packages of the same name.
    done = subprocess.run(
        [str(CLIENTS), "-I", str(ROOT / "tests" / "rigs" / "serving_clients.py"), server.url, KEY,
         str(MAX_TEXTS), str(ROOT)],
        capture_output=True, text=True, check=False, timeout=280,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4_000:]
    return json.loads(done.stdout)  # type: ignore[no-any-return] # a JSON object


@pytest.mark.parametrize("client", ROLES)
def test_the_role_that_is_said_arrives_and_its_vectors_come_back(
    client: str, server: Listening, found: dict[str, Any]
) -> None:
    got = found[client]["vectors"]
    assert set(got) == set(ROLES[client])
    for how, role in ROLES[client].items():
        texts, vectors = zip(*got[how], strict=True)
        server.require_vectors(list(texts), role, vectors)


@pytest.mark.parametrize("wrong", WORDS)
@pytest.mark.parametrize("client", KINDS)
def test_each_client_shows_what_is_wrong_and_the_fix(
    client: str, wrong: str, found: dict[str, Any]
) -> None:
    kind, message = found[client]["errors"][wrong]
    assert kind == KINDS[client][wrong]
    assert WORDS[wrong] in message


@pytest.mark.parametrize("method", ["query", "documents"])
def test_langchain_with_its_defaults_is_told_the_setting_that_sends_texts(
    method: str, found: dict[str, Any]
) -> None:
    kind, message = found["langchain-openai"]["errors"][f"defaults, {method}"]
    assert kind == "BadRequestError"
    assert "token ids" in message
    assert "OpenAIEmbeddings(check_embedding_ctx_length=False)" in message


def test_openai_is_told_who_answered_and_who_can_be_asked(
    server: Listening, found: dict[str, Any]
) -> None:
    other = found["openai"]["other"]
    assert other["headers"] == {
        "x-ragwheel-model": "model-1",
        "x-ragwheel-documents": server.document.fingerprint,
        "x-ragwheel-role": "document",
    }
    assert {"ragwheel", "model-1:query", "base/model:document"} <= set(other["models"])
    kind, message = found["openai"]["errors"]["dimensions"]
    assert (kind, "7, and the model's vectors have 384" in message) == ("BadRequestError", True)


@pytest.mark.parametrize(
    ("field", "words"),
    [("truncate", "'NONE'"), ("embedding_types", "'int8'")],
)
def test_cohere_is_told_what_is_not_done_here(
    field: str, words: str, found: dict[str, Any]
) -> None:
    kind, message = found["cohere"]["errors"][field]
    assert kind == "BadRequestError"
    assert f"{field}: {words}" in message


@pytest.mark.parametrize("client", ["cohere", "llama-index"])
def test_rerankers_of_clients_read_the_scores_best_first(
    client: str, found: dict[str, Any]
) -> None:
    assert found[client]["other"]["rerank"] == [[1, 1.0], [0, 0.0]]


def test_haystacks_document_embedder_swallows_refusals_unless_it_is_told_to_raise(
    found: dict[str, Any],
) -> None:
    """Documents without a vector: why docs/serving.md asks for `raise_on_failure`."""
    assert found["haystack"]["errors"]["defaults, documents"] == ["nothing", "[None]"]
    assert found["haystack"]["errors"]["unknown model, query"][0] == "NotFoundError"


@pytest.mark.parametrize("framework", ["LangChain", "LlamaIndex", "Haystack"])
def test_our_adapters_hand_on_which_store_is_searched(
    framework: str, found: dict[str, Any]
) -> None:
    kind, message = found["our adapters"]["errors"][framework]
    assert (kind, "'another space'" in message) == ("ValueError", True)


@pytest.mark.parametrize(
    ("prompt_name", "role"), [(None, "query"), ("query", "query"), ("passage", "document")]
)
def test_the_role_of_a_tei_request_is_its_prompt_name(
    prompt_name: str | None, role: Side, server: Listening
) -> None:
    texts = [f"tei {prompt_name} spokes", f"tei {prompt_name} a wheel of many spokes"]
    said = {"prompt_name": prompt_name} if prompt_name else {}
    answer = server.post("/embed", {"inputs": texts, "normalize": True, "truncate": True} | said)
    assert answer.headers["x-ragwheel-role"] == role
    server.require_vectors(texts, role, answer.json())


@pytest.mark.parametrize("role", ["query", "document"])
def test_the_role_of_a_jina_request_is_its_task(role: Side, server: Listening) -> None:
    texts = [f"jina {role} spokes", f"jina {role} a wheel of many spokes"]
    task = "retrieval.query" if role == "query" else "retrieval.passage"
    body = {"model": "ragwheel", "task": task, "input": texts, "normalized": True}
    data = server.post("/v1/embeddings", body).json()["data"]
    server.require_vectors(texts, role, [each["embedding"] for each in data])


def test_tei_and_jina_rerank_in_their_own_shapes(server: Listening) -> None:
    query, documents = "a wheel turns", ["axles are greased", "a wheel turns"]
    jina = server.post("/v1/rerank", {"model": "ragwheel", "query": query, "documents": documents})
    tei = server.post("/rerank", {"query": query, "texts": documents, "return_text": True})
    assert jina.json()["results"][0] == {
        "index": 1, "relevance_score": 1.0, "document": {"text": "a wheel turns"},
    }  # fmt: skip
    assert tei.json()[0] == {"index": 1, "score": 1.0, "text": "a wheel turns"}


@pytest.mark.parametrize(
    ("wrong", "status"), [("empty text", 400), ("no key", 401), ("too many texts", 413)]
)
def test_tei_and_jina_routes_refuse_in_their_own_shapes(
    wrong: str, status: int, server: Listening
) -> None:
    texts = [""] if wrong == "empty text" else ["a"] * (MAX_TEXTS + 1)
    key = "wrong" if wrong == "no key" else KEY
    tei = server.post("/embed", {"inputs": texts}, key)
    jina = server.post("/v1/rerank", {"model": "ragwheel", "query": "a", "documents": texts}, key)
    assert (tei.status_code, jina.status_code) == (status, status)
    assert tei.json()["error_type"] == "Validation"
    assert WORDS[wrong] in tei.json()["error"]
    assert WORDS[wrong] in jina.json()["detail"]


def test_jina_is_told_of_an_unknown_model(server: Listening) -> None:
    answer = server.post("/v1/rerank", {"model": "gpt", "query": "a", "documents": ["a"]})
    assert answer.status_code == 404
    assert "'gpt' does not rerank here; there are ragwheel, reranker-1" in answer.json()["detail"]
