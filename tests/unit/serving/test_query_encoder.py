"""The promoted model in process: roles, threads, other stores' vectors, and a shadow."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from subprocess import run

import numpy as np
import pytest
from tests.rigs.following import DeclaredHere, Promoting

from ragwheel.backends.telemetry import Telemetry
from ragwheel.models.canaries import Reference
from ragwheel.schemas import metrics
from ragwheel.schemas.errors import DependencyError
from ragwheel.serving import QueryEncoder
from ragwheel.serving.follow import ModelFollower
from ragwheel.serving.query_encoder import OtherDocumentsError
from ragwheel.serving.shadowing import ShadowedEncoder, Shadowing, share_of

TEXTS = [f"ask{number} ask{number + 1}" for number in range(40)]


@pytest.fixture
def promoting(tmp_path: Path) -> Promoting:
    return Promoting.at(tmp_path)


@pytest.fixture
def follower(promoting: Promoting) -> Iterator[ModelFollower]:
    promoting.promote(promoting.train(1))
    with promoting.follower() as follower:
        yield follower


def test_queries_and_documents_are_encoded_by_their_own_side(
    promoting: Promoting, follower: ModelFollower
) -> None:
    encoder = QueryEncoder(follower)
    base = promoting.encoder().encode(TEXTS, "document")
    np.testing.assert_array_equal(encoder.encode_documents(TEXTS), base)
    assert not np.allclose(encoder.encode_queries(TEXTS), base, atol=1e-2)
    assert encoder.served() == {
        "model_id": promoting.registry.current_id(),
        "document_fingerprint": promoting.encoder().fingerprint,
    }


def test_vectors_of_another_space_are_refused_whatever_their_dimension(
    promoting: Promoting, follower: ModelFollower
) -> None:
    encoder = QueryEncoder(follower)
    ours = promoting.encoder().fingerprint
    assert encoder.encode_queries(TEXTS[:1], store=ours).shape == (1, 64)
    with pytest.raises(OtherDocumentsError, match="whatever their dimension"):
        encoder.encode_queries(TEXTS[:1], store="another space")
    with pytest.raises(OtherDocumentsError, match="'another space'"):
        encoder.encode_documents(TEXTS[:1], store="another space")


def test_no_call_mixes_two_models_while_they_are_switched(promoting: Promoting) -> None:
    one, two = promoting.train(1), promoting.train(2)
    promoting.promote(one)
    with promoting.follower() as follower:
        encoder = QueryEncoder(follower)
        first = encoder.encode_queries(TEXTS)
        with ThreadPoolExecutor(3) as pool:
            calls = [pool.submit(encoder.encode_queries, TEXTS) for _ in range(30)]
            promoting.promote(two)
            follower.look()
            calls += [pool.submit(encoder.encode_queries, TEXTS) for _ in range(30)]
        second = encoder.encode_queries(TEXTS)
        assert not np.allclose(first, second, atol=1e-2)
        of = [
            [bool(np.allclose(call.result(), each, atol=1e-5)) for each in (first, second)]
            for call in calls
        ]
    assert all(sum(each) == 1 for each in of), "every answer is of one model, whole"
    assert of[-1] == [False, True]


def test_a_shadow_measures_overlap_and_changes_no_answer(promoting: Promoting) -> None:
    one, two = promoting.train(1), promoting.train(2)
    promoting.promote(one)
    promoting.shadow(two)
    telemetry = Telemetry()
    with promoting.follower() as plain:
        expected = plain.current().query.encode(TEXTS, "query")
    with ModelFollower(
        promoting.settings(serving_candidate=two, serving_shadow_share=1.0), telemetry,
        declarations=DeclaredHere(promoting.encoder().fingerprint), listen=False, look_s=3_600,
    ) as follower:  # fmt: skip
        answered = follower.current().query.encode(TEXTS, "query")
        np.testing.assert_array_equal(answered, expected)
        ends = time.monotonic() + 60
        while not telemetry.value(metrics.SERVING_SHADOW_OVERLAP):
            assert time.monotonic() < ends
            time.sleep(0.02)
        assert 0 < telemetry.value(metrics.SERVING_SHADOW_OVERLAP) < 1
        promoting.promote(two)
        follower.look()
        assert not isinstance(follower.current().query, ShadowedEncoder), "it is no shadow now"


def test_a_full_shadow_lets_queries_go(promoting: Promoting) -> None:
    """Its thread is not even started: whoever answers must not notice."""
    reference = Reference(np.zeros((1, 16), np.uint8), np.ones((1, 64), np.float32))
    shadowing = Shadowing(promoting.encoder(), "m", reference, 1.0, lambda overlap: None)
    encoder = ShadowedEncoder(promoting.encoder(), shadowing)
    for _ in range(20):
        assert encoder.encode(TEXTS, "query").shape == (len(TEXTS), 64)
    assert encoder.fingerprint == promoting.encoder().fingerprint


def test_shares_are_nested_and_differ_between_candidates() -> None:
    keys = [f"q{number}" for number in range(500)]
    below = [{each for each in keys if share_of("a", each) < share} for share in (0.1, 0.4)]
    assert below[0] < below[1]
    assert below[1] != {each for each in keys if share_of("b", each) < 0.4}


@pytest.mark.parametrize(
    ("name", "package"),
    [("langchain", "langchain-core"), ("llamaindex", "llama-index-core"),
     ("haystack", "haystack-ai")],
)  # fmt: skip
def test_an_adapter_without_its_framework_names_the_install(name: str, package: str) -> None:
    with pytest.raises(DependencyError, match=f"pip install {package}"):
        import_module(f"ragwheel.serving.adapters.{name}")


CLIENTS = Path(__file__).parents[3] / ".venv-clients" / "bin" / "python"
IN_THE_REAL_FRAMEWORKS = """
import sys, types
sys.path[:0] = sys.argv[1].split(":")
# What the adapters borrow is any object with these two methods: torch is not installed here.
fake = types.ModuleType("ragwheel.serving"); fake.__path__ = [sys.argv[2]]
sys.modules["ragwheel.serving"] = fake
class Encoder:
    def encode_queries(self, texts, query_id=None, *, store=""):
        return [[1.0, float(len(text))] for text in texts]
    def encode_documents(self, texts, *, store=""):
        return [[2.0, float(len(text))] for text in texts]
encoder = Encoder()
from ragwheel.serving.adapters.haystack import RagwheelDocumentEmbedder, RagwheelTextEmbedder
from haystack import Document, Pipeline
pipeline = Pipeline()
pipeline.add_component("text", RagwheelTextEmbedder(encoder))
assert pipeline.run({"text": {"text": "abc"}})["text"]["embedding"] == [1.0, 3.0]
[document] = RagwheelDocumentEmbedder(encoder).run([Document(content="abcd")])["documents"]
assert document.embedding == [2.0, 4.0]
from ragwheel.serving.adapters.langchain import RagwheelEmbeddings
from langchain_core.embeddings import Embeddings
chain = RagwheelEmbeddings(encoder)
assert isinstance(chain, Embeddings)
assert chain.embed_query("abc") == [1.0, 3.0]
assert chain.embed_documents(["a", "ab"]) == [[2.0, 1.0], [2.0, 2.0]]
from ragwheel.serving.adapters.llamaindex import RagwheelEmbedding
llama = RagwheelEmbedding(encoder)
assert llama.get_query_embedding("abc") == [1.0, 3.0]
assert llama.get_text_embedding_batch(["a", "ab"]) == [[2.0, 1.0], [2.0, 2.0]]
print("roles are right")
"""


@pytest.mark.slow
def test_adapters_keep_the_role_in_the_real_frameworks() -> None:
    if not CLIENTS.exists():
        if os.environ.get("RAGWHEEL_CI"):
            pytest.fail("CI makes the environment of real clients: make clients")
        pytest.skip("`make clients` makes the environment of real clients")
    root = Path(__file__).parents[3]
    rooms = ":".join(str(root / each) for each in ("schemas", "client", "models", "serving"))
    serving = root / "serving" / "ragwheel" / "serving"
    done = run(
        [str(CLIENTS), "-c", IN_THE_REAL_FRAMEWORKS, rooms, str(serving)],
        capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2_000:]
    assert done.stdout.strip() == "roles are right"
