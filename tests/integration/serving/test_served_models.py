"""Real models over real sockets: documents as in the index, swaps under load, who hangs up."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

import httpx
import numpy as np
import orjson
import pytest
from tests.rigs.listening import (
    HeardEncoder,
    base_encoder,
    listening,
    trained_encoder,
    until,
)
from tests.rigs.serving import SINCE, Switch

from ragwheel.backends.telemetry import Telemetry
from ragwheel.models.encoder import TextEncoder, Vectors
from ragwheel.models.vectors import VectorCache
from ragwheel.schemas import metrics
from ragwheel.serving.contracts import InService

pytestmark = pytest.mark.integration
#: Lengths of one token to more than the model reads.
DOCUMENTS = [f"wheel {number} " + "turns and turns " * number for number in range(48)]
QUERIES = [f"which wheel is number {number}" for number in range(8)]


@dataclass(frozen=True)
class Served:
    """The server, what it shows, and the models that a test puts into service."""

    url: str
    telemetry: Telemetry
    switch: Switch
    models: dict[str, InService]

    def post(self, client: httpx.Client, texts: list[str], role: str) -> httpx.Response:
        answer = client.post(f"{self.url}/embed", json={"inputs": texts, "prompt_name": role})
        assert answer.status_code == 200, answer.text
        return answer


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    base = HeardEncoder(base_encoder())
    models = {
        name: InService(
            name, "base", base.fingerprint, HeardEncoder(trained_encoder(seed)), base, SINCE
        )
        for seed, name in enumerate(("one", "two"))
    }
    switch, telemetry = Switch(models["one"]), Telemetry("server")
    with listening(switch, telemetry) as url:
        yield Served(url, telemetry, switch, models)


def test_the_document_role_answers_the_vectors_of_the_index(served: Served, tmp_path: Path) -> None:
    base = base_encoder().exactly()
    indexed = VectorCache(tmp_path).embed(base, DOCUMENTS)
    with httpx.Client(timeout=120) as client:
        # In other batches than the index was made of, and again, from the server's own cache.
        for _ in range(2):
            for at in range(0, len(DOCUMENTS), 20):
                answer = served.post(client, DOCUMENTS[at : at + 20], "document").json()
                assert np.abs(np.array(answer) - indexed[at : at + 20]).max() <= 1e-6
    assert served.models["one"].query.fingerprint != base.fingerprint


def test_no_vector_of_an_old_model_is_answered_after_a_swap(served: Served) -> None:
    """Callers ask for the same texts all the time, so that they are cached; models swap under them.

    Each answer is of the model that it names, and whoever asks after a swap gets the new one.
    """
    expected: dict[str, Vectors] = {}
    for name, generation in served.models.items():
        assert isinstance(generation.query, HeardEncoder)
        expected[name] = TextEncoder.encode(generation.query, QUERIES, "query")
    enough = Event()

    def keep_asking() -> list[tuple[str, Any]]:
        found = []
        with httpx.Client(timeout=120) as client:
            while not enough.is_set():
                answer = served.post(client, QUERIES, "query")
                found.append((answer.headers["x-ragwheel-model"], answer.json()))
        return found

    with ThreadPoolExecutor(3) as pool, httpx.Client(timeout=120) as client:
        callers = [pool.submit(keep_asking) for _ in range(3)]
        try:
            for swap in range(20):
                now = ("two", "one")[swap % 2]
                served.switch.now = served.models[now]
                for _ in range(3):
                    answer = served.post(client, QUERIES, "query")
                    assert answer.headers["x-ragwheel-model"] == now
                    np.testing.assert_allclose(answer.json(), expected[now], rtol=0, atol=1e-6)
        finally:
            enough.set()
        answers = [each for caller in callers for each in caller.result()]
    assert {model for model, _ in answers} <= {"one", "two"}
    for model, vectors in answers:
        np.testing.assert_allclose(vectors, expected[model], rtol=0, atol=1e-6)
    assert served.telemetry.value(metrics.SERVING_CACHE_LOOKUPS, outcome="hit") >= len(QUERIES)


def test_who_hangs_up_while_others_are_served_costs_no_encoding(served: Served) -> None:
    served.switch.now = served.models["one"]
    query = served.models["one"].query
    assert isinstance(query, HeardEncoder)
    left = [f"nobody waits for number {number}" for number in range(50)]
    query.begun.clear()
    query.free.clear()
    with ThreadPoolExecutor(1) as pool, httpx.Client(timeout=120) as client:
        first = pool.submit(served.post, client, ["somebody waits for this"], "query")
        try:
            assert query.begun.wait(120)
            _ask_and_hang_up(served, {"inputs": left, "prompt_name": "query"})
        finally:
            query.free.set()
        assert first.result().headers["x-ragwheel-model"] == "one"
    until(lambda: served.telemetry.value(metrics.SERVING_DROPPED) == len(left))
    assert not any(query.roles_of(text) for text in left)


def _ask_and_hang_up(served: Served, body: dict[str, Any]) -> None:
    """Leave once the texts wait; the server has noticed it on return."""
    raw = orjson.dumps(body)
    missed = served.telemetry.value(metrics.SERVING_CACHE_LOOKUPS, outcome="miss")
    with socket.create_connection(("127.0.0.1", int(served.url.rpartition(":")[2]))) as caller:
        head = f"POST /embed HTTP/1.1\r\nhost: here\r\ncontent-length: {len(raw)}\r\n\r\n"
        caller.sendall(head.encode() + raw)
        until(
            lambda: (
                served.telemetry.value(metrics.SERVING_CACHE_LOOKUPS, outcome="miss")
                == missed + len(body["inputs"])
            )
        )
    until(lambda: served.telemetry.value(metrics.SERVING_REQUESTS, route="/embed", code="499") == 1)
