"""The promoted model in process: roles, threads, other stores' vectors, and a shadow."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path

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
        while not telemetry.value(metrics.SERVING_SHADOW_OVERLAP, candidate=two):
            assert time.monotonic() < ends
            time.sleep(0.02)
        assert 0 < telemetry.value(metrics.SERVING_SHADOW_OVERLAP, candidate=two) < 1
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
