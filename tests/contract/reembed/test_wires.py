"""What engines behind HTTP answer, and how it is said."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from tests.contract.reembed.fake_milvus import FakeMilvus
from tests.contract.reembed.fake_search import FakeSearchEngine
from tests.contract.reembed.fake_wire import json_server
from tests.contract.reembed.stores import points, unit

from ragwheel.reembed.indexes.contracts import IndexBuild, IndexRefusedError, Points, SpaceVectors
from ragwheel.reembed.indexes.milvus import MilvusIndex
from ragwheel.reembed.indexes.opening import open_index
from ragwheel.reembed.indexes.opensearch import SearchEngineIndex
from ragwheel.schemas.errors import ConfigError, UnavailableError
from ragwheel.schemas.secrets import StoreUrl

pytestmark = pytest.mark.integration

VECTORS = unit(2, 4)
BUILD = IndexBuild("chunks__two", "two", 4)


@pytest.fixture
def engine() -> Iterator[tuple[FakeSearchEngine, SearchEngineIndex]]:
    fake = FakeSearchEngine(elastic=True)
    with json_server(fake.answer) as wire:
        index = SearchEngineIndex(StoreUrl(f"elasticsearch+http://hush@{wire}#chunks"))
        yield fake, index
        index.close()


@pytest.fixture
def milvus_engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[FakeMilvus, MilvusIndex]]:
    monkeypatch.setattr("ragwheel.reembed.indexes.milvus._LOAD_PAUSE_S", 0.001)
    fake = FakeMilvus()
    with json_server(fake.answer) as wire:
        index = MilvusIndex(StoreUrl(f"milvus+http://me:hush@{wire}/main#chunks"))
        yield fake, index
        index.close()


def test_an_alias_keeps_its_terms_and_a_race_for_it_changes_nothing(
    engine: tuple[FakeSearchEngine, SearchEngineIndex], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake, index = engine
    index.create(BUILD)
    other = IndexBuild("chunks__three", "three", 4)
    index.create(other)
    terms = {"filter": {"term": {"lang": "en"}}, "is_write_index": True}
    fake.aliases["chunks"] = {BUILD.physical: dict(terms)}
    index.point(other, BUILD.physical)
    assert fake.aliases["chunks"] == {other.physical: terms}
    monkeypatch.setattr(index, "_led", lambda: (BUILD.physical, {}))  # moved since it was read
    index.create(third := IndexBuild("chunks__four", "four", 4))
    with pytest.raises(IndexRefusedError, match="aliases"):
        index.point(third, BUILD.physical)
    assert fake.aliases["chunks"] == {other.physical: terms}


def test_an_alias_of_several_indexes_and_an_index_of_that_name_are_refused(
    engine: tuple[FakeSearchEngine, SearchEngineIndex],
) -> None:
    fake, index = engine
    index.create(BUILD)
    fake.aliases["chunks"] = {"a": {}, "b": {}}
    with pytest.raises(IndexRefusedError, match=r"leads to 2 indexes \(a, b\)"):
        index.serving()
    fake.aliases.clear()
    fake.indexes["chunks"] = fake.indexes[BUILD.physical]
    with pytest.raises(IndexRefusedError, match="chunks is an index"):
        index.serving()


def test_one_document_that_an_engine_does_not_take_is_named_and_the_others_are_in(
    engine: tuple[FakeSearchEngine, SearchEngineIndex],
) -> None:
    _, index = engine
    index.create(BUILD)
    refused = index.upsert(BUILD, points(["a" * 600, "b"], "two", VECTORS))
    assert refused == {"a" * 600: "illegal_argument_exception: id is too long"}
    assert index.verify(BUILD, SpaceVectors("two", VECTORS[1:])).hits == [["b"]]


def test_texts_and_hashes_are_stored_where_there_is_a_place_for_them(
    engine: tuple[FakeSearchEngine, SearchEngineIndex],
) -> None:
    fake, index = engine
    index.create(BUILD)
    index.upsert(BUILD, Points(["a"], ["h"], SpaceVectors("two", VECTORS[:1]), ["words"]))
    source = fake.indexes[BUILD.physical].written["a"]
    assert (source["text"], source["chunk_hash"]) == ("words", "h")


@pytest.mark.parametrize("status", [429, 502])
def test_an_engine_that_is_busy_may_be_asked_again(
    engine: tuple[FakeSearchEngine, SearchEngineIndex], status: int
) -> None:
    fake, index = engine
    fake.busy["_count"] = status
    index.create(BUILD)
    with pytest.raises(UnavailableError, match=rf"{status} to GET /chunks__two/_count: not now"):
        index.verify(BUILD, None)
    assert index.verify(BUILD, None).count == 0


def test_milvus_ids_that_are_numbers_stay_numbers(
    milvus_engine: tuple[FakeMilvus, MilvusIndex],
) -> None:
    fake, index = milvus_engine
    own(fake, {"dataType": "Int64"})
    build = IndexBuild("chunks__two", "two", 4, "first")
    index.create(build)
    assert list(index.upsert(build, points(["7", "8"], "two", VECTORS))) == ["8"]
    assert list(fake.collections[build.physical].rows) == [7]
    index.upsert(build, points([], "two", VECTORS[:0]), gone=["7"])
    assert index.verify(build, None).count == 0
    with pytest.raises(IndexRefusedError, match="'x' is none"):
        index.upsert(build, points(["x"], "two", VECTORS[:1]))


def test_a_milvus_whose_creation_was_ended_gets_its_index_when_it_is_verified(
    milvus_engine: tuple[FakeMilvus, MilvusIndex],
) -> None:
    fake, index = milvus_engine
    index.create(BUILD)
    made = fake.collections[BUILD.physical]
    made.indexes, made.loaded = [], False
    index.create(BUILD)
    index.upsert(BUILD, points(["a", "b"], "two", VECTORS))
    assert index.verify(BUILD, SpaceVectors("two", VECTORS), depth=1).hits == [["a"], ["b"]]


@pytest.mark.parametrize(
    ("schema", "named"),
    [
        ({"functions": [{"name": "bm25"}]}, "function bm25"),
        ({"second": {"fieldName": "image", "dataType": "FloatVector",
                     "elementTypeParams": {"dim": 2}}}, "vectors embedding, image"),
        ({"second": {"fieldName": "words", "dataType": "SparseFloatVector"}}, "embedding, words"),
    ],
)  # fmt: skip
def test_what_does_not_go_along_in_milvus_is_named_before_anything_is_built(
    milvus_engine: tuple[FakeMilvus, MilvusIndex], schema: dict[str, Any], named: str
) -> None:
    fake, index = milvus_engine
    own(fake, {"dataType": "VarChar"}, **schema)
    with pytest.raises(IndexRefusedError, match=named):
        index.create(IndexBuild("chunks__two", "two", 4, "first"))
    assert "chunks__two" not in fake.collections


def test_a_milvus_that_keeps_no_fingerprint_is_refused(
    milvus_engine: tuple[FakeMilvus, MilvusIndex],
) -> None:
    fake, index = milvus_engine
    fake.describes = False
    with pytest.raises(IndexRefusedError, match="a newer Milvus is needed"):
        index.create(BUILD)
    assert fake.collections == {}


def test_a_text_or_id_that_is_too_long_for_milvus_is_named_and_the_others_are_in(
    milvus_engine: tuple[FakeMilvus, MilvusIndex],
) -> None:
    fake, index = milvus_engine
    index.create(BUILD)
    ids = ["a" * 600, "b", "c"]
    vectors = SpaceVectors("two", np.vstack([VECTORS, VECTORS[:1]]))
    refused = index.upsert(BUILD, Points(ids, ["h"] * 3, vectors, ["", "é" * 40_000, "fine"]))
    assert list(refused) == ["a" * 600, "b"]
    assert list(fake.collections[BUILD.physical].rows) == ["c"]


def test_a_busy_milvus_may_be_asked_again(
    milvus_engine: tuple[FakeMilvus, MilvusIndex],
) -> None:
    fake, index = milvus_engine
    fake.busy = 8
    with pytest.raises(UnavailableError, match="8 to aliases/describe: rate limit"):
        index.serving()
    assert index.serving() == ""


@pytest.mark.parametrize(
    "url",
    ["opensearch+https://me:hush@127.0.0.1:9#chunks", "milvus+http://hush@127.0.0.1:9/x#chunks",
     "elasticsearch+http://hush@127.0.0.1:9#chunks", "qdrant+https://hush@127.0.0.1:9#chunks",
     "postgresql://me:hush@127.0.0.1:9/x?sslpassword=hush#chunks"],
)  # fmt: skip
def test_a_store_that_is_away_is_named_without_its_credentials(url: str) -> None:
    with pytest.raises(UnavailableError) as away:
        open_index(StoreUrl(url)).serving()
    assert "127.0.0.1:9" in str(away.value)
    assert "hush" not in str(away.value)


def test_wrong_credentials_are_refused_without_being_shown(
    engine: tuple[FakeSearchEngine, SearchEngineIndex],
) -> None:
    wire = engine[1].display.partition("://")[2]
    wrong = open_index(StoreUrl(f"elasticsearch+http://me:shown@{wire}"))
    with pytest.raises(IndexRefusedError, match="401 to GET") as refused:
        wrong.serving()
    assert "shown" not in str(refused.value)
    wrong.close()


@pytest.mark.parametrize(
    ("url", "fix"),
    [
        ("pinecone://key:hush@host#chunks", "pinecone:// is no store"),
        ("hush", "a URL without"),
        ("postgresql://me:hush@host/x", "put #NAME"),
        ("postgresql://me:hush@host/x#a b", "put #NAME"),
    ],
)
def test_a_url_that_names_no_store_says_what_one_looks_like(url: str, fix: str) -> None:
    with pytest.raises(ConfigError, match=fix) as refused:
        open_index(StoreUrl(url))
    assert "hush" not in str(refused.value)


def own(fake: FakeMilvus, key: dict[str, Any], **more: Any) -> None:
    """A collection `first` that a service made, with a chunk 7."""
    fields = [
        {"fieldName": "id", "isPrimary": True, **key},
        {"fieldName": "embedding", "dataType": "FloatVector", "elementTypeParams": {"dim": 2}},
    ]
    fields += [more["second"]] if "second" in more else []
    functions = more.get("functions", [])
    index = {"fieldName": "embedding", "indexName": "e", "metricType": "L2"}
    fake.collections_create(
        {"collectionName": "first", "indexParams": [index],
         "schema": {"enableDynamicField": True, "fields": fields, "functions": functions}}
    )  # fmt: skip
    fake.collections["first"].rows[7] = {"id": 7, "embedding": [1.0, 0.0], "lang": "en"}
